"""How much the house weighs, and the ceilings that only ever fall: ``python -m tests.weight``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import numpy as np
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python -m tests.weight"
TREES = {"package": "synthgen", "tests": "tests", "evaluation": "evaluation"}
# A figure may fall below its ceiling; then lower the ceiling. It is never raised.
CEILINGS: dict[str, int] = {
    "lines of package": 41_950,
    "modules of package": 209,
    "lines of tests": 28_900,
    "modules of tests": 96,
    "lines of evaluation": 5_850,
    "modules of evaluation": 12,
    "circles": 8,
    "options": 144,
    "tables of names": 27,
}
# The circles of imports that are left, by the names of their modules. None may grow or be added.
CIRCLES = (
    "auditing.audit auditing.audit_figures auditing.audit_page auditing.drift",
    "augmentation.augmented augmentation.page",
    "cli.making cli.streaming",
    "comparison.comparison comparison.comparison_page",
    "comparison.sweep comparison.sweep_page",
    "exposure.found exposure.page",
    "metrics.evaluation_page metrics.measures metrics.report",
    "synthesizers.network synthesizers.network_fit",
)


def files(tree: str) -> list[Path]:
    return sorted((ROOT / tree).rglob("*.py"))


def name_of(file: Path) -> str:
    """The dotted name of a module; that of a package for its ``__init__``."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path, known: set[str]) -> set[str]:
    """The modules of the package that a module imports, lazily and for the type checker too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            deep = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= deep & known or {node.module}
    return found & known


def circles() -> list[set[str]]:
    """The groups of modules that import one another, the largest first."""
    by_name = {name_of(file): file for file in files("synthgen")}
    names = sorted(by_name)
    edges = np.zeros((len(names), len(names)), dtype=bool)
    for i, name in enumerate(names):
        for other in imported(by_name[name], set(names)):
            edges[i, names.index(other)] = True
    _, group = connected_components(edges, connection="strong")
    short = np.array([name.removeprefix("synthgen").lstrip(".") or "." for name in names])
    found = [set(short[group == g].tolist()) for g in np.unique(group)]
    return sorted((each for each in found if len(each) > 1), key=lambda c: (-len(c), min(c)))


def options(command: click.Command) -> int:
    """The number of options of a command and of those below it."""
    below: dict[str, click.Command] = getattr(command, "commands", {})
    return sum(isinstance(p, click.Option) for p in command.params) + sum(
        map(options, below.values())
    )


def tables_of_names() -> int:
    """The number of literals, outside functions, with the keys or entries of five names or more."""
    found = 0
    for file in files("synthgen"):
        for node in ast.parse(file.read_text()).body:
            value = getattr(node, "value", None)
            entries = getattr(value, "keys", None) or getattr(value, "elts", None) or []
            words = [e.value for e in entries if isinstance(e, ast.Constant)]
            found += sum(isinstance(w, str) and bool(re.fullmatch(r"\w+", w)) for w in words) >= 5
    return found


def weigh() -> dict[str, int]:
    """All figures, by name."""
    from synthgen.cli.main import main

    found = {}
    for name, tree in TREES.items():
        found[f"lines of {name}"] = sum(len(f.read_text().splitlines()) for f in files(tree))
        found[f"modules of {name}"] = len(files(tree))
    return found | {
        "circles": len(circles()),
        "options": options(main),
        "tables of names": tables_of_names(),
    }


if __name__ == "__main__":
    for name, value in weigh().items():
        print(f"{name:<22}{value:>8,}  at most {CEILINGS[name]:,}")
    for circle in circles():
        print("circle:", ", ".join(sorted(circle)))
