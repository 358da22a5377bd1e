"""Read what the benchmarks kept."""

import json
from functools import cache
from pathlib import Path

from esmlearn import __version__

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / __version__


def register(into):
    """Return a decorator that enters functions under their names."""

    def enter(make):
        into[make.__name__] = make
        return make

    return enter


@cache
def result(name):
    """Return the result of one benchmark."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def leakage_of_5000():
    """Return what leaks from folds of 5,000 proteins; the latest run of each kind counts."""
    summary = {}
    for part in ("", "_diamond_exact", "_mmseqs_diamond"):
        summary |= result(f"splits_leakage_swissprot60k_5000{part}")["summary"]
    return summary


def percent(share, digits=1):
    """Return a share as a percentage; a zero is a zero, and nothing else is rounded to one."""
    if share == 0:
        return "0"
    value = 100 * share
    return f"{value:.2f}" if value < 0.1 else f"{value:.{digits}f}"


def span(values, digits=1):
    """Return percentages of the least and the largest of repeated measurements."""
    low, high = percent(values["min"], digits), percent(values["max"], digits)
    return low if low == high else f"{low}–{high}"


def signed(value, digits=1):
    """Return a difference with its sign; a true minus, as in print."""
    return f"{value:+.{digits}f}".replace("-", "−")
