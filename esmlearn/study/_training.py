"""``training.json``: the proteins of training, by which predictions of a saved model are judged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from esmlearn.clustering import nearest_homologs
from esmlearn.exceptions import DataError
from esmlearn.io._proteins import looks_nucleic
from esmlearn.persistence import file_digest
from esmlearn.study._result import StudyResult
from esmlearn.utils._sequences import remove_gaps
from esmlearn.utils._warn import warn

TRAINING_NAME = "training.json"
_FORMAT = 1
#: Columns of a judgement, by those of the table of errors.
_EXPECTED = {
    "expected_error": "error",
    "expected_error_low": "low",
    "expected_error_high": "high",
    "expected_error_n": "count",
}
#: Shorter chains are no proteins to a language model, whatever it was trained on.
_LEAST_LENGTH = 20


def describe_training(result: StudyResult, model: Path, *, sequences: bool) -> dict[str, Any]:
    """Return what is kept beside a saved model.

    Parameters
    ----------
    result : StudyResult
        The findings.
    model : Path
        The saved model.
    sequences : bool
        Whether ids and sequences are kept, too.

    Returns
    -------
    training : dict
        Plain values.
    """
    data = result.data
    lengths = [len(remove_gaps(s)) for s in data.sequences]
    kept = {
        "format": _FORMAT,
        "model_sha256": file_digest(model),
        "unit": result.unit,
        "identity": result.parameters["identity"],
        "coverage": result.parameters["coverage"],
        "lengths": [min(lengths), max(lengths)],
        "errors": result.reliability.errors.to_dict("records"),
    }
    if sequences:
        kept |= {"ids": data.ids.tolist(), "sequences": data.sequences.tolist()}
    return kept


@dataclass(frozen=True)
class Training:
    """The proteins that a model was trained on, and its errors by distance from them.

    Attributes
    ----------
    unit : str or None
        Unit of the target.
    identity, coverage : float
        From which on proteins are homologs.
    lengths : tuple of int
        Of the shortest and the longest protein, in residues.
    errors : pandas.DataFrame
        Error by the identity of the nearest protein; see `Reliability`.
    ids, sequences : list of str
        The proteins; empty where they were left out.
    """

    unit: str | None
    identity: float
    coverage: float
    lengths: tuple[int, int]
    errors: pd.DataFrame
    ids: list[str]
    sequences: list[str]

    @classmethod
    def beside(cls, model: Path) -> "Training | None":
        """Read what lies beside a saved model; None where nothing of this model does.

        Parameters
        ----------
        model : Path
            The saved model.

        Returns
        -------
        training : Training or None
            What is there.

        Raises
        ------
        DataError
            If the file is damaged.

        Warns
        -----
        UserWarning
            If the file is of another model.
        """
        path = model.with_name(TRAINING_NAME)
        if not path.exists():
            return None
        try:
            kept = json.loads(path.read_bytes())
            if kept["format"] != _FORMAT:
                raise ValueError(f"format is {kept['format']}")
            if kept["model_sha256"] != file_digest(model):
                warn(
                    f"{path} is of another model than {model.name}, and is not used: no nearest "
                    f"proteins and no expected errors. Keep the two files of a study together."
                )
                return None
            training = cls(
                unit=kept["unit"],
                identity=float(kept["identity"]),
                coverage=float(kept["coverage"]),
                lengths=(int(kept["lengths"][0]), int(kept["lengths"][1])),
                errors=pd.DataFrame(kept["errors"], dtype=float),
                ids=[str(i) for i in kept.get("ids", [])],
                sequences=[remove_gaps(s) for s in kept.get("sequences", [])],
            )
            if len(training.ids) != len(training.sequences) or not len(training.errors):
                raise ValueError("ids and sequences are not as many")
            training.errors[["identity_low", "count", "error", "low", "high"]]  # must be there
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise DataError(
                f"{path} is damaged ({type(error).__name__}: {error}); write the study again, or "
                f"remove the file to predict without nearest proteins and expected errors."
            ) from error
        return training

    def judge(self, sequences: Any, *, n_jobs: int | None = None) -> pd.DataFrame:
        """Return how far the predictions of some proteins can be trusted.

        Parameters
        ----------
        sequences : array-like of str of shape (n_sequences,)
            The proteins that are predicted.
        n_jobs : int or None, default=None
            Threads of the search.

        Returns
        -------
        table : pandas.DataFrame
            With the proteins of training: ``nearest`` (id of the nearest homolog, or none),
            ``identity`` (0-1), ``in_training``, ``expected_error``, its 95 % interval
            ``expected_error_low`` and ``expected_error_high`` and the number of proteins it comes
            from, ``expected_error_n`` (all four NaN for what is no protein). In any case ``note``:
            what to know about the protein.
        """
        texts = [remove_gaps(s) for s in sequences]
        doubts = [self._doubt(text) for text in texts]
        notes = [
            self._note_on_length(text) if d is None else d
            for d, text in zip(doubts, texts, strict=True)
        ]
        if not self.sequences:
            return pd.DataFrame({"note": notes})
        table = self._nearest(texts, n_jobs)
        doubtful = np.array([doubt is not None for doubt in doubts])
        table.loc[doubtful, list(_EXPECTED)] = np.nan
        for row in table[~doubtful].itertuples():
            notes[row.Index] = "; ".join(filter(None, [notes[row.Index], _note_on_nearest(row)]))
        return table.assign(note=notes)

    def _nearest(self, texts: list[str], n_jobs: int | None) -> pd.DataFrame:
        found = nearest_homologs(texts, self.sequences, coverage=self.coverage, n_jobs=n_jobs)
        homolog = found["identity"] >= self.identity
        identity = found["identity"].where(homolog)
        known = {text: name for name, text in zip(self.ids, self.sequences, strict=True)}
        rows = found["target"].fillna(0).astype(int)
        nearest = pd.Series(self.ids, dtype=object)[rows].reset_index(drop=True).where(homolog)
        in_training = np.array([text in known for text in texts])
        for row in np.flatnonzero(in_training):  # also what is too odd to be aligned
            nearest[row], identity[row] = known[texts[row]], 1.0
        lows = self.errors["identity_low"].to_numpy()
        bins = np.searchsorted(lows, identity.fillna(0.0), side="right") - 1
        errors = self.errors.iloc[np.maximum(bins, 0)].reset_index(drop=True)
        expected = {name: errors[column].map(_shorten) for name, column in _EXPECTED.items()}
        table = pd.DataFrame({"nearest": nearest, "identity": identity.round(3)})
        return table.assign(in_training=in_training, **expected)

    def _doubt(self, text: str) -> str | None:
        """Return why nothing that is predicted of a sequence can be relied on."""
        if len(text) < min(_LEAST_LENGTH, self.lengths[0]):
            return f"too short to be a protein ({len(text)} residues): not to be relied on"
        if looks_nucleic(text):
            return "looks like DNA or RNA, not protein: not to be relied on"
        return None

    def _note_on_length(self, text: str) -> str:
        shortest, longest = self.lengths
        if shortest <= len(text) <= longest:
            return ""
        return f"{len(text)} residues, outside of training ({shortest} to {longest})"


def _note_on_nearest(row: Any) -> str:
    """Return what the nearest protein of training means."""
    if row.in_training:
        return "in training: its measured value is known, and this is no test of the model"
    if pd.isna(row.nearest):
        return "no relative in training: expect the error of unseen families"
    return f"relative in training at {100 * row.identity:.0f} % identity"


def _shorten(value: float) -> float:
    """Return three digits, all that an expected error has."""
    return float(f"{value:.3g}")
