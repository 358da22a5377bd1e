"""Write tables as Markdown and figures as SVG."""

import matplotlib

from measured import _tables, _tail_tables
from measured._figures import FIGURES

TABLES = _tables.TABLES | _tail_tables.TABLES


def write_all(folder):
    """Write every table and every figure into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in TABLES.items():
        (folder / f"{name}.md").write_text(markdown(*make()))
    with matplotlib.rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = draw()
            figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
            matplotlib.pyplot.close(figure)


STYLE = {
    "svg.hashsalt": "esmlearn",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def markdown(header, rows):
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [header, [":---"] + ["---:"] * (len(header) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
