"""Placeholders of target.yaml's ``live`` part: {port}, {db.port}, {data}, {python}, {replica}, {address}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.inputs.live_file import PLACE
from harness.inputs.target import Live


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its placeholders filled; braces that are none of ours stay as they are (JSON has many)."""
    return PLACE.sub(lambda m: values.get(m[1], m[0]), text)


def depended_on(live: Live) -> frozenset[str]:
    """Processes that others are told the address of: stores and queues, which outlive a crash of the target.

    Never the one that answers the API, whoever calls it.
    """
    told = [*live.settings.values(), *(w.to for w in live.wires)]
    for process in live.processes:
        told += [*process.command, *process.environment.values()]
    named = {m[1].partition(".")[0] for text in told for m in PLACE.finditer(text) if "." in m[1]}
    return frozenset(named & {p.name for p in live.processes} - {live.serves})


def words(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A command line."""
    return [filled(word, values) for word in command]
