"""Writer of the folder of a study: tables, figures, model, card and, last, the report."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from esmlearn import persistence
from esmlearn.io import write_table
from esmlearn.study._candidates import embedder_of
from esmlearn.study._covariates import describe_covariates
from esmlearn.study._figures import draw_figures
from esmlearn.study._report import render_card, render_report
from esmlearn.study._result import StudyResult
from esmlearn.study._settings import LIBRARIES
from esmlearn.study._training import TRAINING_NAME, describe_training
from esmlearn.utils._paths import atomic_write

MODEL_NAME = "model.esmlearn"
_OTHERS = ["fair-esm", "pandas", "matplotlib", "skops", "pyopal"]  # besides what decides results


def write_study(
    result: StudyResult, folder: Path, source: dict[str, Any], *, training_sequences: bool
) -> Path:
    """Write everything that a study found out; return the path of the report."""
    report = folder / "report.html"
    # An old report must not stand beside new tables.
    report.unlink(missing_ok=True)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    digest = persistence.save(result.reliability.model, folder / MODEL_NAME)
    training = describe_training(result, folder / MODEL_NAME, sequences=training_sequences)
    write_text(folder / TRAINING_NAME, json.dumps(training) + "\n")
    write_tables(result, folder)
    about = describe_run(result, source, digest)
    figures, failed = draw_figures(result)
    about["notes"] += failed
    write_text(folder / "study.json", json.dumps(about, indent=1, default=str) + "\n")
    for figure in figures:
        write_text(folder / "figures" / f"{figure.name}.svg", figure.standalone)
    write_text(folder / "model_card.md", render_card(result, about))
    write_text(report, render_report(result, about, figures))
    return report


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_tables(result: StudyResult, folder: Path) -> None:
    """Write the tables; the same study gives the same bytes.

    Eight digits: more than anybody needs, fewer than the last bits of a sum.
    """
    kept = result.conclusion.chosen.name
    proteins = result.folds[["id", "fold", "target"]]
    predictions = [  # in long form, the kept candidate first
        proteins.assign(candidate=name, kept=name == kept, prediction=result.predictions[name])
        for name in sorted(result.predictions, key=lambda name: name != kept)
    ]
    tables = {
        "results.csv": result.results,
        "regions.csv": result.regions,
        "folds.csv": result.folds,
        "predictions.csv": pd.concat(predictions, ignore_index=True),
        "fold_table.csv": result.fold_table,
        "nearest_results.csv": result.nearest_results,
        "errors_by_identity.csv": result.reliability.errors,
        "coverage.csv": result.reliability.coverage,
        "against_none.csv": result.conclusion.against_none,
        "against_top.csv": result.conclusion.against_top,
    }
    if result.parameters["random_split"]:
        tables["random_results.csv"] = result.random_results
    for name, report in result.audit.items():
        tables[f"audit_{name}.csv"] = report.table
    for name, table in tables.items():
        floats = table.select_dtypes("float").columns
        rounded = table.assign(**{c: table[c].map(lambda x: float(f"{x:.8g}")) for c in floats})
        write_table(folder / name, rounded)


def describe_run(result: StudyResult, source: dict[str, Any], digest: str) -> dict[str, Any]:
    """Return what every number was measured on."""
    from esmlearn.clustering import available_engines

    data, conclusion = result.data, result.conclusion
    low, high = conclusion.interval
    is_chosen = result.results["candidate"] == conclusion.chosen.name
    values = result.results.loc[is_chosen, conclusion.metric.column]
    return {
        "source": source,
        "task": data.task,
        "answer": {
            "top": conclusion.top.title,
            "chosen": conclusion.chosen.title,
            "stands_out": conclusion.named,
            "useful": conclusion.useful,
            "metric": conclusion.metric.title,
            "value": float(values.mean()),
            "interval": [low, high],
        },
        "filters": data.filters,
        "sequences": data.counts,
        "features": {} if data.features is None else describe_covariates(data.features),
        "graph": data.description,
        "n_components": data.n_components,
        "split": result.split_description,
        "audit": {name: report.description for name, report in result.audit.items()},
        "leakage": {name: values.tolist() for name, values in result.leakage.items()},
        "embedder": {
            "model": str(getattr(embedder_of(result.best_model), "model", "none")),
            "fingerprint": result.fingerprint,
            "report": result.embedding_report,
        },
        "model_digest": digest,
        "random_state": result.parameters["random_state"],
        "parameters": {k: str(v) for k, v in result.parameters.items()},
        "versions": {name: metadata.version(name) for name in [*LIBRARIES, *_OTHERS]},
        "engines": {k: str(v) for k, v in available_engines().items()},
        "python": platform.python_version(),
        "machine": platform.platform(),
        "workers": result.n_workers,
        "seconds": {name: round(value, 1) for name, value in result.timings.items()},
        "notes": sorted({note for kept in result.fold_results for note in kept["notes"]}),
    }
