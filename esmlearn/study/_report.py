"""Report and model card: plain values for their templates."""

import re
from importlib import resources
from typing import Any

import numpy as np

from esmlearn.plotting import region_names
from esmlearn.study._candidates import KERNEL_LIMIT
from esmlearn.study._figures import Figure
from esmlearn.study._reliability import identity_name
from esmlearn.study._result import StudyResult
from esmlearn.study._wording import (
    choice,
    headline,
    label,
    lower,
    measured,
    number,
    optimism,
    optimism_metrics,
    p_value,
    tell,
)
from esmlearn.utils._optional import import_optional


def render_report(result: StudyResult, about: dict[str, Any], figures: list[Figure]) -> str:
    """Return the report: one HTML file that needs nothing else."""
    return _template("report.html").render(
        **_context(result, about),
        figures={figure.name: figure for figure in figures},
        level_figures=[figure for figure in figures if figure.name.startswith("levels-")],
    )


def render_card(result: StudyResult, about: dict[str, Any]) -> str:
    """Return the model card, in Markdown."""
    return _template("model_card.md").render(**_context(result, about))


def _template(file: str) -> Any:
    jinja2 = import_optional("jinja2", extra="study", purpose="A report")
    is_html = file.endswith(".html")
    environment = jinja2.Environment(
        autoescape=is_html,
        finalize=None if is_html else escape_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (label, lower, measured, number, p_value, tell)
    environment.filters |= {word.__name__: word for word in words}
    source = resources.files("esmlearn.study") / "templates" / file
    return environment.from_string(source.read_text(encoding="utf-8"))


def escape_markdown(value: Any) -> Any:
    """Return text that Markdown shows as it is, on one line; what is marked safe stays."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", value)
    # An underscore inside a word emphasizes nothing.
    return re.sub(r"[\\`*\[\]<>#|~$&]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def _context(result: StudyResult, about: dict[str, Any]) -> dict[str, Any]:
    conclusion, data = result.conclusion, result.data
    return {
        "result": result,
        "data": data,
        "about": about,
        "conclusion": conclusion,
        "metrics": result.metrics,
        "choice": choice(result),
        "means": result.means,
        "parameters": result.parameters,
        "unit": result.unit or "",
        "headline": headline(result),
        "models": _model_rows(result),
        "optimism": optimism(result),
        "optimism_metrics": optimism_metrics(result),
        "random_rows": _random_rows(result),
        "resampling": _resampling_rows(result),
        "recall": _recall_table(result),
        "errors": result.reliability.errors.to_dict("records"),
        "coverage": result.reliability.coverage.to_dict("records"),
        "identity_name": identity_name,
        "recall_columns": [c for c in result.candidates if c.model == conclusion.top.model],
        "kernel_limit": KERNEL_LIMIT,
        "warning": about["source"].get("warning"),
        "seconds": sum(result.timings.values()),
    }


def _model_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Return each model without resampling and with its best one."""
    conclusion, metric = result.conclusion, result.conclusion.metric
    deviations = result.results.groupby("candidate").std(numeric_only=True)
    rows = []
    for model in dict.fromkeys(c.model for c in result.candidates):
        own = [c.name for c in result.candidates if c.model == model]
        means = result.means.loc[own, metric.column]
        order = (means if metric.larger_is_better else -means).fillna(-np.inf)
        shown = [model, str(order.idxmax())]
        if conclusion.chosen.model == model:
            shown.append(conclusion.chosen.name)
        rows += [
            {
                "candidate": result.by_name[name],
                "values": result.means.loc[name],
                "deviations": deviations.loc[name],
                "ties_with_best": result.by_name[name] in conclusion.leaders,
                "chosen": name == conclusion.chosen.name,
            }
            for name in dict.fromkeys(shown)
        ]
    return rows


def _random_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Return what random folds say of each model, beside homology folds."""
    shown = [metric.column for metric in optimism_metrics(result)]
    if result.random_means.empty:
        return []
    nearest = result.nearest_results.groupby("split").mean(numeric_only=True)
    by_nearest = [
        (nearest.loc["homology", column], nearest.loc["random", column]) for column in shown
    ]
    return [
        {"title": "copy of the nearest relative in training", "pairs": by_nearest},
        *[
            {
                "title": result.by_name[str(name)].title,
                "pairs": [(result.means.loc[name, column], row[column]) for column in shown],
            }
            for name, row in result.random_means.iterrows()
        ],
    ]


def _resampling_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Return each resampled candidate against its model without resampling, best change first."""
    table = result.conclusion.against_none
    if table.empty:
        return []
    sign = -1 if result.conclusion.metric.larger_is_better else 1
    table = table.assign(key=sign * table["mean"]).sort_values("key", kind="stable")
    return [
        {**row, "candidate": result.by_name[row["candidate"]]} for row in table.to_dict("records")
    ]


def _recall_table(result: StudyResult) -> list[dict[str, Any]]:
    """Return recall per region, for every level of every resampler of the best model."""
    model = result.conclusion.top.model
    rows = result.regions[result.regions["model"] == model]
    table = rows.pivot_table(
        index="region", columns="candidate", values="recall", aggfunc="mean", sort=False
    )
    columns = [c.name for c in result.candidates if c.model == model]
    data = result.data
    names = region_names(data.regions, result.unit) if data.regions else list(data.classes or [])
    parts = range(len(names)) if data.regions else names
    table = table.reindex(index=list(parts), columns=columns)
    return [
        {"name": name, "values": values}
        for name, values in zip(names, table.to_numpy().tolist(), strict=True)
    ]
