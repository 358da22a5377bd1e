"""How the site is built: ``sphinx-build -W docs docs/_build/html``, without a network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

# Examples neither read nor fill the cache of whoever builds the site.
os.environ.setdefault("ESMLEARN_CACHE", str(HERE / "_build" / "esmlearn-cache"))
os.environ.setdefault("MPLBACKEND", "agg")

from measured import numbers, write_all  # noqa: E402

from esmlearn import __version__ as release  # noqa: E402

project = "esmlearn"
author = "The esmlearn developers"
copyright = author
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_drawn", "gallery", "measured"]
templates_path = ["_templates"]

default_role = "py:obj"  # `Name` in a docstring is a link where there is such a name
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
myst_substitutions = numbers()  # from the benchmarks' results, as are the tables and figures
write_all(HERE / "_drawn")

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections tell the types, with shapes and units
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False  # the template of a class lists its methods itself

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "auto_gallery/backreferences",
    "doc_module": ("esmlearn",),
    "reference_url": {"esmlearn": None},
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "matplotlib_animations": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "esmlearn"
html_static_path = ["_static"]
html_css_files = ["esmlearn.css"]
html_sidebars = {page: [] for page in ("index", "install", "pitfalls", "benchmarks")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "esmlearn"},
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def skip_foreign_members(app, what, name, obj, skip, options):
    """Leave out what scikit-learn, imbalanced-learn and skorch document themselves."""
    function = getattr(obj, "fget", obj)
    module = getattr(function, "__module__", None)
    if module is not None and not module.startswith("esmlearn"):
        return True
    return None


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign_members)
