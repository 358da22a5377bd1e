"""What the report and the model card say, as plain values for their templates."""

from importlib import resources
from typing import TYPE_CHECKING, Any

import pandas as pd

from esmlearn.plotting import region_names
from esmlearn.study._figures import Figure
from esmlearn.study._metrics import Metric, metrics_of
from esmlearn.study._wording import (
    flattered_metrics,
    flattery,
    headline,
    label,
    lower,
    measured,
    number,
    p_value,
    tell,
)
from esmlearn.utils._optional import import_optional

if TYPE_CHECKING:
    from esmlearn.study._study import Study


def render_report(study: "Study", about: dict[str, Any], figures: list[Figure]) -> str:
    """Return the report: one HTML file that needs nothing else.

    Parameters
    ----------
    study : Study
        A fitted study.
    about : dict
        What every number was measured on.
    figures : list of Figure
        The pictures.

    Returns
    -------
    html : str
        The page.
    """
    return _template("report.html").render(
        **_context(study, about),
        figures={figure.name: figure for figure in figures},
        level_figures=[figure for figure in figures if figure.name.startswith("levels-")],
    )


def render_card(study: "Study", about: dict[str, Any]) -> str:
    """Return the model card, in Markdown.

    Parameters
    ----------
    study : Study
        A fitted study.
    about : dict
        What every number was measured on.

    Returns
    -------
    markdown : str
        The card.
    """
    return _template("model_card.md").render(**_context(study, about))


def _template(file: str) -> Any:
    jinja2 = import_optional("jinja2", extra="study", purpose="A report")
    environment = jinja2.Environment(
        autoescape=file.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (label, lower, measured, number, p_value, tell)
    environment.filters |= {word.__name__: word for word in words}
    source = resources.files("esmlearn.study") / "templates" / file
    return environment.from_string(source.read_text(encoding="utf-8"))


def _context(study: "Study", about: dict[str, Any]) -> dict[str, Any]:
    conclusion, data = study.conclusion_, study.data_
    metrics = metrics_of(data.task)
    means = study.results_.groupby("candidate", sort=False).mean(numeric_only=True)
    return {
        "study": study,
        "data": data,
        "about": about,
        "conclusion": conclusion,
        "metrics": metrics,
        "means": means,
        "unit": study.unit or "",
        "headline": headline(study),
        "models": _model_rows(study, means),
        "flattery": flattery(study),
        "flattered_metrics": flattered_metrics(data.task),
        "random_rows": _random_rows(study, means),
        "resampling": _resampling_rows(study),
        "recall": _recall_table(study),
        "recall_columns": [c for c in study.candidates_ if c.model == conclusion.top.model],
        "warning": about["source"].get("warning"),
        "seconds": sum(study.timings_.values()),
    }


def _best(results: pd.DataFrame, metric: Metric) -> str:
    means = results.groupby("candidate", sort=False)[metric.column].mean()
    return str(means.idxmax() if metric.larger_is_better else means.idxmin())


def _model_rows(study: "Study", means: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each model without resampling and with its best one."""
    named = {c.name: c for c in study.candidates_}
    deviations = study.results_.groupby("candidate").std(numeric_only=True)
    leaders = {c.name for c in study.conclusion_.leaders}
    rows = []
    for model in dict.fromkeys(c.model for c in study.candidates_):
        results = study.results_[study.results_["model"] == model]
        best = _best(results, study.conclusion_.metric)
        shown = [model, best]
        if study.conclusion_.chosen.model == model:
            shown.append(study.conclusion_.chosen.name)
        for name in dict.fromkeys(shown):
            rows.append(
                {
                    "candidate": named[name],
                    "values": means.loc[name],
                    "deviations": deviations.loc[name],
                    "leads": name in leaders,
                    "chosen": named[name] == study.conclusion_.chosen,
                }
            )
    return rows


def _random_rows(study: "Study", means: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what random folds say of each model, beside homology folds."""
    if study.random_results_.empty:
        return []
    random = study.random_results_.groupby("candidate", sort=False).mean(numeric_only=True)
    named = {c.name: c for c in study.candidates_}
    shown = flattered_metrics(study.data_.task)
    return [
        {
            "candidate": named[name],
            "pairs": [(means.loc[name, m.column], row[m.column]) for m in shown],
        }
        for name, row in random.iterrows()
    ]


def _resampling_rows(study: "Study") -> list[dict[str, Any]]:
    """Return each resampled candidate against its model without resampling, best change first."""
    table = study.conclusion_.against_none
    if table.empty:
        return []
    named = {c.name: c for c in study.candidates_}
    sign = -1 if study.conclusion_.metric.larger_is_better else 1
    table = table.assign(key=sign * table["mean"]).sort_values("key", kind="stable")
    return [{**row, "candidate": named[row["candidate"]]} for row in table.to_dict("records")]


def _part_names(study: "Study") -> list[str]:
    data = study.data_
    return region_names(data.regions, study.unit) if data.regions else list(data.classes or [])


def _recall_table(study: "Study") -> list[dict[str, Any]]:
    """Return recall per region, for every level of every resampler of the best model."""
    model = study.conclusion_.top.model
    rows = study.regions_[study.regions_["model"] == model]
    table = rows.pivot_table(
        index="region", columns="candidate", values="recall", aggfunc="mean", sort=False
    )
    columns = [c.name for c in study.candidates_ if c.model == model]
    names = _part_names(study)
    parts = range(len(names)) if study.data_.regions else names
    table = table.reindex(index=list(parts), columns=columns)
    return [
        {"name": name, "values": values}
        for name, values in zip(names, table.to_numpy().tolist(), strict=True)
    ]
