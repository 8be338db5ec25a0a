"""YAML and JSON files as trees that know where they were written. The only importer of yaml.

Only the parser's events are used: no tag constructs anything, so no file can. Scalars follow YAML 1.2's core schema:
``on`` and ``no`` are words, not truth values. Aliases and ``<<`` are understood, within bounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from harness.errors import FileProblem, Place
from harness.inputs.nodes import Node

MAX_BYTES: Final = 5_000_000
MAX_DEPTH: Final = 60
#: nodes of a document after its aliases are written out
MAX_NODES: Final = 200_000
#: the same of a document that a target serves
MAX_FOREIGN_BYTES: Final = 32_000_000
MAX_FOREIGN_DEPTH: Final = 150
MAX_COLLECTIONS: Final = 1_500_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    w: v for v, name in ((True, "true"), (False, "false")) for w in (name, name.title(), name.upper())
}
_TAGS: Final = ("!", "tag:yaml.org,2002:str")


def load(path: str | Path) -> Node:
    """The document in a file; FileProblem if there is none, or it is none."""
    return parse(_read(str(path)), str(path))


def parse(text: str, path: str) -> Node:
    """The document in a text; ``path`` is what messages call it."""
    if len(text) > MAX_BYTES:
        raise FileProblem(Place(path), _TOO_LARGE, "Split it, or leave generated parts out.")
    if not text.strip():
        raise FileProblem(Place(path), _EMPTY, _FILL)
    if path.endswith(".json"):
        _json(text, path)
    try:
        return _Builder(path).build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        if path.endswith(".json"):
            # valid JSON that a YAML parser can't take (surrogate pairs in escapes)
            return _positionless(json.loads(text), Place(path))
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
        raise FileProblem(place, f"not YAML: {error.problem or error.context}", _hint(error)) from None
    except yaml.YAMLError as error:
        raise _unreadable(text, path, error) from None


def foreign(raw: bytes, origin: str) -> Any:
    """A document that somebody served, as plain data; FileProblem if it is none, or too much of one.

    JSON may be larger than our own files: nobody will want to know a line in it.
    """
    place = Place(origin)
    if len(raw) > MAX_FOREIGN_BYTES:
        raise FileProblem(place, f"larger than {MAX_FOREIGN_BYTES // 1_000_000} MB")
    text = raw.decode("utf-8-sig", "replace")
    first = text.lstrip()[:1]
    if first == "<":
        raise FileProblem(place, "not JSON or YAML, but HTML or XML")
    if first not in ("{", "["):
        return parse(text, f"{origin} (as YAML)").plain()
    if text.count("{") + text.count("[") > MAX_COLLECTIONS:
        raise FileProblem(place, f"more than {MAX_COLLECTIONS} objects and lists")
    value = _json(text, origin)
    if is_deeper(value, MAX_FOREIGN_DEPTH):
        raise FileProblem(place, f"nested deeper than {MAX_FOREIGN_DEPTH} levels")
    return value


def is_deeper(value: Any, levels: int) -> bool:
    """Whether plain data is nested deeper; without recursion, as what is too deep must not be walked by it."""
    row = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not row:
            return False
        row = [c for v in row for c in (v.values() if isinstance(v, dict) else v) if isinstance(c, dict | list)]
    return bool(row)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FileProblem(Place(path), "there is no such file", "Paths are from where qharness is started.") from None
    except IsADirectoryError:
        raise FileProblem(Place(path), "this is a folder, not a file", "Name a file in it, e.g. target.yaml.") from None
    except OSError as error:
        raise FileProblem(Place(path), f"can't be read: {error.strerror}") from None
    except ValueError:
        raise FileProblem(Place(repr(path)), "this is no file name") from None
    if len(raw) > MAX_BYTES:
        raise FileProblem(Place(path), _TOO_LARGE, "Split it, or leave generated parts out.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        place = Place(path, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise FileProblem(place, "not UTF-8 text", "Save the file as UTF-8.") from None


_EMPTY: Final = "the file is empty"
_FILL: Final = "Was it saved? docs/target.md and docs/scenario.md have files to copy."
_TOO_LARGE: Final = f"larger than {MAX_BYTES // 1_000_000} MB"


def _json(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = Place(path, error.lineno, error.colno)
        raise FileProblem(place, f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise FileProblem(Place(path), _TOO_DEEP, _FLATTEN) from None
    except ValueError as error:
        raise FileProblem(Place(path), f"not JSON: {error}") from None


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_FLATTEN: Final = "Is a bracket left open? Write it flatter; no file of qharness needs ten levels."


#: what the parser says → what to do about it
_HINTS: Final = {
    "mapping values are not allowed": 'A value that holds ": " must be in quotes; or the indentation is off.',
    "cannot start any token": "Indent with spaces, not tabs; quote values that begin with @, ` or %.",
    "',' or '": "Inside braces or brackets, put a value that holds [ ] { } or , in quotes.",
    "expected key": "Is it indented as its neighbours are? Inside single quotes, ' is written ''.",
    "unknown escape": "Inside double quotes, write \\\\ for a backslash; or use single quotes.",
    "expected '-'": "Is it indented as its neighbours are? A list has a dash before each item.",
    "end of stream": "A quote is opened and not closed.",
}


def _hint(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    return next((hint for words, hint in _HINTS.items() if words in problem), str(error.context or ""))


def _unreadable(text: str, path: str, error: yaml.YAMLError) -> FileProblem:
    """A character that YAML does not allow."""
    at = getattr(error, "position", None)
    if not isinstance(at, int):
        return FileProblem(Place(path), f"not YAML: {' '.join(str(error).split())}")
    before = text.encode("utf-8", "replace")[:at].decode("utf-8", "ignore")
    place = Place(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
    return FileProblem(place, "a control character", "Remove it, or write it as an escape in quotes.")


def _positionless(value: Any, place: Place) -> Node:
    if isinstance(value, dict):
        members = {k: _positionless(v, place) for k, v in value.items()}
        return Node(members, place, keys=dict.fromkeys(members, place)).named("")
    if isinstance(value, list):
        return Node([_positionless(v, place) for v in value], place)
    return Node(value, place)


_TOO_MANY: Final = f"more than {MAX_NODES} values once aliases are written out"
_NO_ALIASES: Final = "Write the values out where they are used, without aliases of aliases."


class _Open:
    """A collection that has begun and not ended."""

    def __init__(self, node: Node, anchor: str | None) -> None:
        self.node, self.anchor = node, anchor
        self.key: tuple[str, Place] | None = None
        self.size = 1
        self.merged: list[Node] = []


class _Builder:
    """Parser events to nodes, without recursion; sizes are counted as if every alias were written out."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node:
        """The one document of the events."""
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                raise self._problem(event, "a second document begins here", "One file, one document.")
            if isinstance(event, yaml.NodeEvent):
                self._take(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(event)
        if self._root is None or self._root.value is None:
            raise FileProblem(Place(self._path), _EMPTY, _FILL)
        return self._root.named("")

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif self._wants_key():
            self._key(event)
        elif isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), self._place(event))
            self._add(node, 1, event)
            self._remember(event.anchor, node, 1)
        else:
            self._open(event)

    def _open(self, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._problem(event, _TOO_DEEP, _FLATTEN)
        if event.tag is not None:
            raise self._problem(event, f"the tag {event.tag!r} is not understood", "Remove it.")
        empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append(_Open(Node(empty, self._place(event)), event.anchor))

    def _close(self, event: Any) -> None:
        done = self._stack.pop()
        for base in done.merged:
            for key, child in base.members.items():
                if key not in done.node.members:
                    done.node.members[key] = child
                    done.node.keys[key] = base.keys[key]
        self._remember(done.anchor, done.node, done.size)
        self._add(done.node, done.size, event)

    def _alias(self, event: Any) -> None:
        if self._wants_key():
            raise self._problem(event, "a key can't be an alias", "Write the key itself.")
        if event.anchor not in self._anchors:
            # libyaml reports unknown aliases only when it composes; an open anchor would hold itself
            instead = "An alias (*name) needs its anchor (&name) earlier in the file."
            raise self._problem(event, f"the alias *{event.anchor} points at nothing before it", instead)
        node, size = self._anchors[event.anchor]
        self._add(node, size, event)

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)

    def _wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].node.is_mapping and self._stack[-1].key is None

    def _key(self, event: Any) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            instead = "Is a value in braces or brackets missing its quotes?"
            raise self._problem(event, "a key must be a word or a number", instead)
        top, place = self._stack[-1], self._place(event)
        first = top.node.keys.get(event.value)
        if first is not None:
            instead = f"It is given first on line {first.line}. Keep one of them."
            raise FileProblem(place, f"the key {event.value!r} is given twice", instead)
        if event.anchor is not None:
            self._remember(event.anchor, Node(event.value, place), 1)
        top.key = (event.value, place)

    def _add(self, node: Node, size: int, event: Any) -> None:
        if not self._stack:
            self._root = node
            return
        top = self._stack[-1]
        top.size += size
        if top.size > MAX_NODES:
            raise self._problem(event, _TOO_MANY, _NO_ALIASES)
        if top.key is None:
            top.node.items.append(node)
            return
        (key, place), top.key = top.key, None
        if key == "<<":
            self._merge(top, node, event)
        else:
            top.node.members[key], top.node.keys[key] = node, place

    def _merge(self, top: _Open, node: Node, event: Any) -> None:
        bases = node.items if isinstance(node.value, list) else [node]
        if not all(b.is_mapping for b in bases):
            raise self._problem(event, "<< takes a mapping, or a list of mappings", "Write <<: *name of a mapping.")
        top.merged += bases

    def _scalar(self, event: Any) -> Any:
        if event.tag is not None:
            if event.tag not in _TAGS:
                raise self._problem(event, f"the tag {event.tag!r} is not understood", "Remove it.")
            return event.value
        return resolve(event.value) if event.implicit[0] else event.value

    def _place(self, event: Any) -> Place:
        return Place(self._path, event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, event: Any, what: str, instead: str = "") -> FileProblem:
        return FileProblem(self._place(event), what, instead)


def resolve(plain: str) -> bool | int | float | str | None:
    """What an unquoted scalar means: YAML 1.2 core schema; .inf and .nan stay text."""
    if plain in _WORDS:
        return _WORDS[plain]
    if _INT.fullmatch(plain):
        return int(plain, 0 if plain[:2] in ("0o", "0x") else 10)
    if _FLOAT.fullmatch(plain) and abs(number := float(plain)) != float("inf"):
        return number
    return plain
