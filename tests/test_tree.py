"""The tree of the package: folders that read as a table of contents, imports that point one way."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "esmlearn").rglob("*.py"))
MOST_FILES = 20

# Each may import those before it; the last four rest on utils alone, and study may use all.
ORDER = [
    ["utils", "exceptions", "_version"],
    ["io"],
    ["over_sampling", "metrics", "neural_network", "plotting", "datasets", "persistence"],
    ["embedding", "clustering"],
    ["model_selection"],
    ["pipeline"],
    ["conformal", "variants"],
    ["study"],
    ["cli"],
]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(path):
    """Modules of the package that a file imports anywhere, also for types and in functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                module = f"{node.module}.{name.name}"
                yield module if module in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_no_imports_run_in_circles():
    graph = {
        module: {name for name in imports_of(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_imports_between_subpackages_point_one_way():
    rank = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
    upward = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports_of(path)
        if name in MODULES and "." in module and "." in name
        if rank.get(module.split(".")[1], 99) < rank.get(name.split(".")[1], 99)
    ]
    assert not upward


def test_no_folder_is_too_full_to_read():
    folders = Counter(path.parent for path in FILES)
    assert not {folder for folder, number in folders.items() if number > MOST_FILES}
