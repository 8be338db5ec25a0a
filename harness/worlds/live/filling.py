"""Placeholders of target.yaml's ``live`` part: {port}, {db.port}, {data}, {python}, {replica}, {address}."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.inputs.target import Live, ProcessUse

_PLACE = re.compile(r"\{([a-z][a-z0-9_-]*(?:\.[a-z]+)?)\}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its placeholders filled; braces that are none of ours stay as they are (JSON has many)."""
    return _PLACE.sub(lambda m: values.get(m[1], m[0]), text)


def depended_on(live: Live) -> frozenset[str]:
    """Processes that others are told the address of: stores and queues, which outlive a crash of the target."""
    told = [*live.settings.values(), *(w.to for w in live.wires)]
    for process in live.processes:
        told += [*process.command, *process.environment.values()]
    named = {m[1].partition(".")[0] for text in told for m in _PLACE.finditer(text) if "." in m[1]}
    return frozenset(named & {p.name for p in live.processes})


def words(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A command line."""
    return [filled(word, values) for word in command]


def unknown_processes(live: Live) -> tuple[tuple[ProcessUse, str], ...]:
    """Placeholders that name a process which is not there."""
    names = {p.name for p in live.processes} | {w.name for w in live.wires}
    found = []
    for process in live.processes:
        for word in (*process.command, *process.environment.values()):
            found += [(process, m[0]) for m in _PLACE.finditer(word) if "." in m[1] and m[1].split(".")[0] not in names]
    return tuple(found)
