"""Reads YAML strictly: keys are text, no key comes twice, and a problem is one sentence with line and column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from scoring.errors import JobFileError

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_DAY = "tag:yaml.org,2002:timestamp"
_READ_OTHERWISE = frozenset("\t!?\ufeff")
"""Characters that libyaml takes where PyYAML's own parser refuses them, or takes for something else."""
_OPENINGS = 2000
"""Characters that may open a level of nesting in text for libyaml, whose recursion is ended by nothing but the stack."""
LARGEST = 256 * 1024
"""Bytes of the largest job file. One with a thousand features has half of that."""
DEEPEST = 20
"""Levels of lists and mappings in one another. A job file needs five."""
MOST_VALUES = 50_000
"""Values of a file with every alias written out: a few lines of aliases can stand for billions."""
_PLAIN_WORDS = {
    "found character '\\t' that cannot start any token": ("a tab", "with spaces in front of keys, never tabs"),
    "mapping values are not allowed here": ("a second ': ' in a line", "with text that holds ': ' in quotes"),
    "could not find expected ':'": ("a key without ': '", "with 'key: value' lines"),
    "expected <block end>, but found": (
        "a line that is indented unlike those above",
        "with keys of a level in one column",
    ),
    "found unexpected end of stream": ("a quote that is not closed", "with a quote at both ends"),
    "expected ',' or ']'": ("a list that is not closed", "with lists like [a, b]"),
    "expected ',' or '}'": ("a mapping that is not closed", "with mappings like {a: 1, b: 2}"),
    "but found another document": ("a second document after ---", "with one document"),
    "could not determine a constructor": ("a tag such as !name", "without tags"),
}
"""Our words for common errors of the parser, by the beginning of its message: what was found, what was expected."""


class _Loader(yaml.SafeLoader):
    """Reads keys as text, so that a column may be called ``no``, ``on`` or ``1``. Refuses a key that comes twice."""

    def __init__(self, stream: str) -> None:
        """Begin at the root."""
        super().__init__(stream)
        self._depth = -1

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node. One that is too deep ends the reading, before the rest costs minutes."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _too_deep(self.peek_event())  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the node of a mapping whose keys are text, each there once."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        _read_keys_as_text(node)
        return node

    def get_single_node(self) -> Any:
        """Return the root, unless what it stands for is too deep or too much."""
        node = super().get_single_node()
        _refuse_excess(node)
        return node

    def construct_day(self, node: yaml.ScalarNode) -> Any:
        """Return a day or time as Python has it."""
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError:
            problem = f"{node.value}, which is no day of the calendar"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


_Loader.add_constructor(_DAY, _Loader.construct_day)


def _read_keys_as_text(node: yaml.MappingNode) -> None:
    """Make the keys of a mapping text. Raises ``MarkedYAMLError`` for one that comes twice, or is a list or mapping."""
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a list or mapping as a key", problem_mark=key.start_mark)
        if key.tag == _MERGE:
            continue
        key.tag = _TEXT
        if key.value in first:
            problem = f"the key {key.value!r} a second time, after line {first[key.value]}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        first[key.value] = key.start_mark.line + 1


def _too_deep(place: Any) -> yaml.MarkedYAMLError:
    problem = f"lists or mappings in one another, more than {DEEPEST} levels deep"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _refuse_excess(root: yaml.Node | None) -> None:
    """Raise ``MarkedYAMLError`` for nodes that are too deep in one another, or too many once aliases are written out."""
    measured: dict[int, tuple[int, int]] = {}

    def measure(node: yaml.Node, depth: int) -> tuple[int, int]:
        """Return values and levels below a node."""
        values, levels = measured.get(id(node), (0, 0))
        if not values:
            inner: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                inner = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner = node.value
            below = [measure(part, depth + 1) for part in inner] if depth <= DEEPEST else [(0, DEEPEST)]
            values = 1 + sum(count for count, _ in below)
            levels = 1 + max((height for _, height in below), default=-1)
            measured[id(node)] = values, levels
        if depth + levels > DEEPEST:
            raise _too_deep(node)
        if values > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values, aliases written out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return values, levels

    if root is not None:
        measure(root, 0)


def read(text: str, what: str) -> Any:
    """Return the content of YAML text. Raises ``JobFileError`` that names ``what``, the place and the problem.

    >>> read("no: {type: int}", "a file")
    {'no': {'type': 'int'}}
    """
    if _for_libyaml(text):
        with suppress(yaml.YAMLError, ValueError, RecursionError):  # raised again below, with a message and a place
            return _read_by_libyaml(text)
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        problem, advice = _in_words(error.problem or error.context or "")
        unclosed = "not closed" in problem
        mark = (error.context_mark if unclosed else None) or error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise _unreadable(what, f"{problem}{place}", advice) from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        problem = f"a character that cannot be printed (line {line}, column {column})"
        raise _unreadable(what, problem, "of text") from None
    except RecursionError:
        raise _unreadable(what, "lists or mappings in one another, too deep", "") from None
    except ValueError as error:  # a number or day that a tag such as !!int announced
        raise _unreadable(what, str(error), "") from None


def _for_libyaml(text: str) -> bool:
    """Return whether libyaml reads the text as PyYAML's own parser does, and without harm."""
    openings = sum(text.count(character) for character in "[{-")
    return yaml.__with_libyaml__ and openings <= _OPENINGS and not _READ_OTHERWISE & set(text)


def _read_by_libyaml(text: str) -> Any:
    """Return the content of YAML text, eight times faster than PyYAML's own parser. Raises what that one can explain."""
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_excess(node)
        for mapping in _mappings(node):
            _read_keys_as_text(mapping)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Yield the mappings below a node, each once, also where aliases lead to one twice or back to where it is."""
    waiting, met = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in met:
            continue
        met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises ``JobFileError`` that names the file, the place and the problem."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise _unreadable(path.name, f"{size:,} bytes", f"of at most {LARGEST:,}")
        content = read(path.read_text(encoding="utf-8"), path.name)
    except UnicodeDecodeError as error:
        problem = f"byte {error.object[error.start]:#04x} at place {error.start + 1}, which is not UTF-8"
        raise _unreadable(path.name, problem, "in UTF-8") from None
    except OSError as error:
        raise _unreadable(path.name, str(error.strerror), "") from None
    if not isinstance(content, dict):
        problem = "an empty file" if content is None else "a list" if isinstance(content, list) else repr(content)
        raise JobFileError(path.name, found=problem, expected="a mapping of job settings, such as name: churn")
    return content


def _in_words(problem: str) -> tuple[str, str]:
    """Return what was found and what was expected, in words, for a message of the parser."""
    for phrase, words in _PLAIN_WORDS.items():
        if problem.startswith(phrase):
            return words
    return problem.rpartition("but found ")[2].removeprefix("found "), ""


def _unreadable(what: str, problem: str, advice: str) -> JobFileError:
    return JobFileError(what, found=problem, expected=f"a readable YAML file {advice}".rstrip())
