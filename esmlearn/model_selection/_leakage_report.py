"""LeakageReport: how much of a test set has been seen in training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Name: least coverage of the shorter protein, least coverage of the longer; None needs only
# significance.
DEFINITIONS: dict[str, tuple[float, float] | None] = {
    "A": (0.5, 0.0),
    "B": (0.8, 0.0),
    "C": (0.8, 0.8),
    "D": None,
}
OVERALL = "overall"


@dataclass(frozen=True, eq=False)
class LeakageReport:
    """Findings of an audit.

    A test row leaks when a row of its training part is its homolog: by definition A at the
    audit's identity over at least 50 % of the shorter protein; by B over 80 % of the shorter; by C
    over 80 % of both; by D by any significant local alignment.

    Attributes
    ----------
    table : pandas.DataFrame
        One line per split and one "overall": ``n_train``, ``n_test``, ``n_audited`` (test rows that
        were searched), shares (0-1) of the audited rows that leak by ``A``, ``B``, ``C``, ``D``,
        that have an ``identical`` or ``near_identical`` (at least 95 % identity over 90 % of the
        shorter) training row, and ``max_identity`` (over at least half of the shorter).
    curve : pandas.DataFrame
        Share of the audited rows with a training row of at least the identity in the column
        ``identity`` over at least half of the shorter protein; one column per split and "overall".
    nearest : pandas.DataFrame
        One line per audited row and split: ``split``, ``test_row``, ``train_row`` (the most
        significant; -1 for none), ``identity``, ``coverage_shorter``, ``coverage_longer``,
        ``evalue``, and the row's ``max_identity``.
    identical : pandas.DataFrame
        Test rows with a copy in training: ``split``, ``test_row``, ``train_row``.
    conflicts : pandas.DataFrame
        Copies of one sequence with different targets, where y was given: ``rows``, ``targets``.
    extra_edges : ndarray of str of shape (n_edges, 2)
        The pairs of sequences that leak by A, for ``CDHitGroupSplitter(extra_edges=...)``.
    description : mapping
        Engine, thresholds, number of rows searched, whether they are a sample.

    See Also
    --------
    audit_leakage : Makes one.
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    nearest: pd.DataFrame
    identical: pd.DataFrame
    conflicts: pd.DataFrame
    extra_edges: NDArray[np.object_]
    description: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<LeakageReport: {self.overall('A'):.2%} of the test rows leak by definition A>"

    def overall(self, definition: str) -> float:
        """Return the share of all audited rows that leak.

        Parameters
        ----------
        definition : {"A", "B", "C", "D"}
            Definition of a homolog.

        Returns
        -------
        share : float
            0-1.
        """
        return float(self.table.set_index("split").loc[OVERALL, definition])

    def interval(self, definition: str) -> tuple[float, float]:
        """Return the 95 % interval of a share that was measured on a sample.

        Parameters
        ----------
        definition : {"A", "B", "C", "D"}
            Definition of a homolog.

        Returns
        -------
        low, high : float
            Wilson's score interval; both are the share itself where all rows were audited.
        """
        share = self.overall(definition)
        if not self.description["sampled"]:
            return share, share
        return _wilson(share, int(self.description["n_audited"]))

    def summary(self) -> str:
        """Return the findings in words.

        Returns
        -------
        text : str
            A few lines.
        """
        about = self.description
        scope = (
            f"a random sample of {about['n_audited']} of {about['n_test_rows']} test rows"
            if about["sampled"]
            else f"all {about['n_audited']} test rows"
        )
        lines = [f"Leakage, by {about['engine']} search of {scope}:"]
        for name in DEFINITIONS:
            low, high = self.interval(name)
            spread = f" (95 % interval {low:.2%} to {high:.2%})" if about["sampled"] else ""
            lines.append(f"  {name}  {self.overall(name):7.2%}{spread}  {describe(name, about)}")
        overall = self.table.set_index("split").loc[OVERALL]
        lines.append(
            f"  identical {overall['identical']:.2%}, near-identical (95 %) "
            f"{overall['near_identical']:.2%}; highest identity {overall['max_identity']:.2f}"
        )
        if len(self.conflicts):
            lines.append(f"  {len(self.conflicts)} sequences have copies with different targets")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values that `json` can write.

        Returns
        -------
        report : dict
            Keys ``table``, ``curve``, ``nearest``, ``identical``, ``conflicts`` (lists of records),
            ``extra_edges`` (list of pairs) and ``description``.
        """
        tables = ("table", "curve", "nearest", "identical", "conflicts")
        return {
            **{name: _plain(getattr(self, name).to_dict("records")) for name in tables},
            "extra_edges": self.extra_edges.tolist(),
            "description": _plain(dict(self.description)),
        }


def describe(name: str, about: Mapping[str, Any]) -> str:
    """Return a definition in words."""
    if DEFINITIONS[name] is None:
        return f"any local alignment with E <= {about['evalue']:g}"
    shorter, longer = DEFINITIONS[name] or (0.0, 0.0)
    over = f"{longer:.0%} of both" if longer else f"{shorter:.0%} of the shorter"
    return f"identity >= {about['identity']:.0%} over >= {over}"


def _wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _plain(value: Any) -> Any:
    """Return NumPy values as Python ones; NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
