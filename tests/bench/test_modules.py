"""The bench's modules fit together, though most of them run rarely."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from scoring.settings import HOME

MODULES = sorted((HOME / "bench").glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_module_takes_from_another_is_there(path: Path):
    taken = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench.")
        for alias in node.names
    }
    assert [(module, name) for module, name in taken if name not in defined(str(module))] == []


def defined(module: str) -> set[str]:
    """Return the names that a module of the bench has at its top level; none if there is no such module."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return set()
    names = set()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names
