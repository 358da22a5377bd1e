"""Tables, figures and numbers of the docs, made from the benchmarks' JSON.

When the site is built, ``write_all`` fills ``docs/_drawn``: a Markdown table or an SVG for each
function of `_tables`, `_tail_tables` and `_figures`. Pages include them by name; no figure is typed
in, so none can drift from its JSON.
"""

from measured._figures import FIGURES
from measured._numbers import numbers
from measured._writing import TABLES, write_all

__all__ = ["FIGURES", "TABLES", "numbers", "write_all"]
