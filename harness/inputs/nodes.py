"""A node of a document, and the questions that loaders ask it. Every wrong answer knows its place.

``Node.text()`` and its like return the value, or raise FileProblem with what is wrong and what to write instead, so
that a loader is a list of what it wants.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from harness.errors import FileProblem, Place, UsageProblem

T = TypeVar("T")
D = TypeVar("D")


@dataclass
class Node:
    """A value and its place. Mappings hold nodes by key, lists hold nodes, anything else is a plain value.

    ``trail`` is how a reader would find it: ``roles.submit_job.request``. ``keys``: where each key is written.
    """

    value: Any
    place: Place
    trail: str = ""
    keys: dict[str, Place] = field(default_factory=dict)

    # ------------------------------------------------------------ what it is

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.value, list)

    @property
    def members(self) -> dict[str, Node]:
        """The mapping itself."""
        return cast("dict[str, Node]", self.value)

    @property
    def items(self) -> list[Node]:
        """The list itself."""
        return cast("list[Node]", self.value)

    def named(self, trail: str) -> Node:
        """The same node under a trail."""
        return Node(self.value, self.place, trail, self.keys)

    def plain(self) -> Any:
        """The whole below it as plain data."""
        if self.is_mapping:
            return {k: v.plain() for k, v in self.members.items()}
        return [v.plain() for v in self.items] if self.is_list else self.value

    # ------------------------------------------------------------ what is wrong

    def problem(self, what: str, instead: str = "") -> FileProblem:
        """What is wrong with this value."""
        return FileProblem(self.place, f"{self.trail}: {what}" if self.trail else what, instead)

    def key_problem(self, key: str, what: str, instead: str = "") -> FileProblem:
        """What is wrong with one key of this mapping."""
        return Node(None, self.keys.get(key, self.place), self.trail).problem(what, instead)

    def _not(self, wanted: str, instead: str = "") -> FileProblem:
        return self.problem(f"must be {wanted}, not {self._described()}", instead)

    def _described(self) -> str:
        if self.value is None:
            return "empty"
        if self.is_mapping:
            return "a mapping"
        if self.is_list:
            return "a list"
        return f"{self.value!r}" if not isinstance(self.value, bool) else str(self.value).lower()

    # ------------------------------------------------------------ scalars

    def text(self) -> str:
        """A text that is not empty; a number or truth value must be in quotes."""
        if not isinstance(self.value, str):
            quotes = isinstance(self.value, int | float)
            raise self._not("text", "Put it in quotes." if quotes else "")
        if not self.value:
            raise self._not("text")
        return self.value

    def word(self) -> str:
        """A text, or a number or truth value as it would be written in JSON."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value) if isinstance(self.value, int | float) else self._any_text()

    def _any_text(self) -> str:
        if not isinstance(self.value, str):
            raise self._not("text")
        return self.value

    def integer(self, least: int | None = None, most: int | None = None) -> int:
        """A whole number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._not("a whole number")
        return cast(int, self._bounded(least, most))

    def number(self, least: float | None = None, most: float | None = None) -> float:
        """A number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self._not("a number")
        return self._bounded(least, most)

    def _bounded(self, least: float | None, most: float | None) -> float:
        if least is not None and self.value < least:
            raise self._not(f"at least {least}")
        if most is not None and self.value > most:
            raise self._not(f"at most {most}")
        return cast(float, self.value)

    def flag(self) -> bool:
        """true or false."""
        if not isinstance(self.value, bool):
            raise self._not("true or false")
        return self.value

    def one_of(self, choices: Iterable[str], kind: str = "") -> str:
        """One of some words; ``kind`` says what they are names of."""
        known = tuple(choices)
        text = self.text()
        if text not in known:
            what = f"no {kind} is called {text!r}" if kind else f"must be one of {_listed(known)}, not {text!r}"
            raise self.problem(what, suggestion(text, known, listing=bool(kind)))
        return text

    def parsed(self, parser: Callable[[str], T]) -> T:
        """A text in a small language of its own; what its parser finds wrong is said here."""
        try:
            return parser(self.text())
        except UsageProblem as error:
            raise self.problem(str(error)) from None

    # ------------------------------------------------------------ collections

    def listing(self, at_least: int = 0) -> list[Node]:
        """The items of a list, each under its own trail."""
        if not self.is_list:
            raise self._not("a list", "Write [a, b] or one item a line, each after a dash.")
        if len(self.items) < at_least:
            raise self.problem("must not be empty")
        return [n.named(f"{self.trail}[{i}]") for i, n in enumerate(self.items)]

    def texts(self) -> tuple[str, ...]:
        """One text, or a list of texts."""
        return tuple(n.text() for n in self.listing()) if self.is_list else (self.text(),)

    def entries(self) -> dict[str, Node]:
        """The members of a mapping whose keys are free, each under its own trail."""
        if not self.is_mapping:
            raise self._not("a mapping", "Write key: value, one a line.")
        return {k: v.named(f"{self.trail}.{k}" if self.trail else k) for k, v in self.members.items()}

    def known_entries(self, known: Iterable[str], kind: str) -> dict[str, Node]:
        """The members of a mapping whose keys are names of something, e.g. roles."""
        entries, names = self.entries(), tuple(known)
        for key in entries:
            if key not in names:
                raise self.key_problem(key, f"no {kind} is called {key!r}", suggestion(key, names))
        return entries

    def section(self, *known: str, required: Sequence[str] = ()) -> Section:
        """A mapping with fixed keys. An unknown key, or a required one that lacks, is a FileProblem."""
        entries = self.entries()
        for key in entries:
            if key not in known:
                raise self.key_problem(key, f"unknown key {key!r}", suggestion(key, known))
        for key in required:
            if key not in entries or entries[key].value is None:
                if key in entries:
                    raise self.key_problem(key, f"{key!r} is empty")
                raise self.problem(f"lacks {key!r}")
        return Section(self, entries)

    def words(self) -> dict[str, str]:
        """A mapping of words to words; numbers and truth values count as words."""
        return {k: v.word() for k, v in self.entries().items()}


@dataclass
class Section:
    """A mapping with fixed keys, whose unknown ones were refused already."""

    node: Node
    entries: Mapping[str, Node]

    def need(self, key: str) -> Node:
        """The value of a key that must be there."""
        if key not in self.entries:
            raise self.node.problem(f"lacks {key!r}")
        return self.entries[key]

    def get(self, key: str) -> Node | None:
        """The value of a key, None if it is not there or empty."""
        node = self.entries.get(key)
        return None if node is None or node.value is None else node

    def read(self, key: str, reader: Callable[[Node], T], default: D) -> T | D:
        """What a reader makes of a key's value; the default if it is not there."""
        node = self.get(key)
        return default if node is None else reader(node)


_LONGEST, _MOST_COMPARED = 300, 5_000


def suggestion(word: str, known: Iterable[str], listing: bool = True) -> str:
    """``Did you mean …?`` if something is near; else what is known."""
    names = sorted(set(known))
    # what is near costs time for each, and a target may serve a document with a hundred thousand
    few = sorted((n for n in names if len(n) < _LONGEST), key=lambda n: abs(len(n) - len(word)))[:_MOST_COMPARED]
    near = difflib.get_close_matches(word, few, n=1, cutoff=0.6) if len(word) < _LONGEST else ()
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {_listed(names)}." if names and listing else ""


def _listed(names: Sequence[str], most: int = 24) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
