"""The fields of pydantic models, with what their docstrings say about them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from scoring.job import TASKS, Task
from tools.reference.markdown import prose

Arguments = tuple[Any, ...]
NAMES: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "integer",
    float: "number",
    date: "date (YYYY-MM-DD)",
    Path: "path",
    SecretStr: "text, secret",
    NoneType: "null",
    Task: " or ".join(f"`{task}`" for task in TASKS),
}
"""Types as a person who writes YAML or an environment variable calls them."""
SIGNS: dict[type, tuple[str, str]] = {
    annotated_types.Ge: ("ge", "≥"),
    annotated_types.Gt: ("gt", ">"),
    annotated_types.Le: ("le", "≤"),
    annotated_types.Lt: ("lt", "<"),
}


@dataclass(frozen=True)
class Documented:
    """One field: its name, type, default and meaning, as text."""

    name: str
    kind: str
    default: str
    meaning: str


def documented(model: type[BaseModel], default: Callable[[Any], str]) -> list[Documented]:
    """Return the fields of ``model`` in the order in which it declares them. ``default`` writes a default as text."""
    sentences = _attribute_docstrings(model)
    return [
        Documented(name, kind_of(field), _default(field, default), prose(field.description or sentences.get(name)))
        for name, field in model.model_fields.items()
    ]


def _default(field: FieldInfo, default: Callable[[Any], str]) -> str:
    return "required" if field.is_required() else default(field.get_default(call_default_factory=True))


def kind_of(field: FieldInfo) -> str:
    """Return a field's type with its limits, such as ``integer ≥ 1``."""
    limits = [
        f"{SIGNS[type(part)][1]} {getattr(part, SIGNS[type(part)][0]):,}"
        for part in field.metadata
        if type(part) in SIGNS
    ]
    return " ".join([_type(field.annotation), ", ".join(limits)]).strip()


def _type(kind: Any) -> str:
    """Return the name of a type. Models are named after what they hold, choices are listed."""
    if kind in NAMES:
        return NAMES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):  # Annotated: the type is shown, its limits are checked
        return _type(arguments[0])
    if inspect.isclass(kind) and origin is None:
        return f"[{title_of(kind)}](#{title_of(kind).lower()})"
    return _COMPOUND[origin](arguments)


def title_of(model: type) -> str:
    """Return what a model is called on a page: a policy's section is headed as its key in the file is called."""
    return model.__name__.removesuffix("Policy")


def _either(arguments: Arguments) -> str:
    return " or ".join(dict.fromkeys(_type(part) for part in arguments))


_COMPOUND: dict[Any, Callable[[Arguments], str]] = {
    Literal: lambda choices: " or ".join(f"`{choice}`" for choice in choices),
    Union: _either,
    UnionType: _either,
    list: lambda arguments: f"list of {_type(arguments[0])}",
    tuple: lambda arguments: f"[{', '.join(_type(part) for part in arguments)}]",
    dict: lambda arguments: f"mapping of name to {_type(arguments[1])}",
}
"""What a type with arguments is called, by what it is made of."""


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text that stands below each attribute of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return dict(_pairs(tree.body))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, below in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = below.value if isinstance(below, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.target.id, inspect.cleandoc(value.value)


def models_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return ``model`` and every model that its fields hold, each once, in the order of the fields."""
    seen: dict[type[BaseModel], None] = {model: None}
    for field in model.model_fields.values():
        for kind in _classes(field.annotation):
            seen.update(dict.fromkeys(models_in(kind)))
    return list(seen)


def _classes(kind: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _classes(part)
