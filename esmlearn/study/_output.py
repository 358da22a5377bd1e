"""The folder that a study leaves behind; the report comes last."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esmlearn import persistence
from esmlearn.io import write_table
from esmlearn.study._figures import draw_figures
from esmlearn.study._report import render_card, render_report
from esmlearn.study._tables import tabulate_predictions
from esmlearn.utils._paths import atomic_write

if TYPE_CHECKING:
    from esmlearn.study._study import Study

MODEL_NAME = "model.esmlearn"


def write_study(study: "Study", folder: Path, source: dict[str, Any]) -> Path:
    """Write everything that a study found out.

    Parameters
    ----------
    study : Study
        A fitted study.
    folder : pathlib.Path
        Where to.
    source : dict
        About the data.

    Returns
    -------
    report : pathlib.Path
        The report.
    """
    report = folder / "report.html"
    # An old report must not stand beside new tables.
    report.unlink(missing_ok=True)
    digest = persistence.save(study.best_model_, _made(folder) / MODEL_NAME)
    write_tables(study, folder)
    about = describe_run(study, source, digest)
    write_text(folder / "study.json", json.dumps(about, indent=1, default=str) + "\n")
    figures = draw_figures(study)
    for figure in figures:
        write_text(_made(folder / "figures") / f"{figure.name}.svg", figure.standalone)
    write_text(folder / "model_card.md", render_card(study, about))
    write_text(report, render_report(study, about, figures))
    return report


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_tables(study: "Study", folder: Path) -> None:
    """Write the tables; the same study gives the same bytes.

    Eight digits: more than anybody needs, fewer than the last bits of a sum.
    """
    tables = {
        "results.csv": study.results_,
        "regions.csv": study.regions_,
        "folds.csv": study.folds_,
        "predictions.csv": tabulate_predictions(
            study.folds_, study.predictions_, study.conclusion_.chosen.name
        ),
        "fold_table.csv": study.fold_table_,
        "against_none.csv": study.conclusion_.against_none,
        "against_top.csv": study.conclusion_.against_top,
    }
    if study.random_split:
        tables["random_results.csv"] = study.random_results_
    for name, report in study.audit_.items():
        tables[f"audit_{name}.csv"] = report.table
    for name, table in tables.items():
        floats = table.select_dtypes("float").columns
        rounded = table.assign(**{c: table[c].map(lambda x: float(f"{x:.8g}")) for c in floats})
        write_table(folder / name, rounded)


def describe_run(study: "Study", source: dict[str, Any], digest: str) -> dict[str, Any]:
    """Return what every number was measured on."""
    from esmlearn.clustering import available_engines

    data, conclusion = study.data_, study.conclusion_
    low, high = conclusion.interval
    return {
        "source": source,
        "task": data.task,
        "answer": {
            "top": conclusion.top.title,
            "chosen": conclusion.chosen.title,
            "stands_out": conclusion.named,
            "useful": conclusion.useful,
            "metric": conclusion.metric.title,
            "value": float(_mean(study, conclusion.chosen.name)),
            "interval": [low, high],
        },
        "filters": data.filters,
        "sequences": data.counts,
        "graph": data.description,
        "n_components": data.n_components,
        "split": study.split_description_,
        "audit": {name: report.description for name, report in study.audit_.items()},
        "leakage": {name: values.tolist() for name, values in study.leakage_.items()},
        "embedder": {
            "model": str(study.best_model_.steps[0][1].model),
            "fingerprint": study.fingerprint_,
            "report": study.embedding_report_,
        },
        "model_digest": digest,
        "random_state": study.random_state,
        "parameters": {k: str(v) for k, v in study.get_params(deep=False).items()},
        "versions": {name: metadata.version(name) for name in _VERSIONS},
        "engines": {k: str(v) for k, v in available_engines().items()},
        "python": platform.python_version(),
        "machine": platform.platform(),
        "workers": study.n_workers_,
        "seconds": {name: round(value, 1) for name, value in study.timings_.items()},
        "notes": sorted({note for piece in study.pieces_ for note in piece["notes"]}),
    }


_VERSIONS = ["esmlearn", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "skorch", "torch"]
_VERSIONS += ["fair-esm", "pandas", "matplotlib", "skops", "pyopal"]


def _mean(study: "Study", candidate: str) -> float:
    rows = study.results_[study.results_["candidate"] == candidate]
    return rows[study.conclusion_.metric.column].mean()
