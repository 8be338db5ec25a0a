"""The secrets that target.yaml holds: credentials of actors, settings that are called so, passwords in URLs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.inputs.target import Target
from harness.secrecy import Concealer, is_secret_setting, password_of


def concealer(target: Target) -> Concealer:
    """What takes a target's secrets out of text."""
    return Concealer(known_secrets(target))


def known_secrets(target: Target) -> frozenset[str]:
    """Every value that must never be written down; ``{n}`` in it is any lane."""
    return frozenset(value for value in _all(target) if value)


def _all(target: Target) -> Iterator[str]:
    live = target.live
    for actor in (*target.actors.values(), *(live.actors.values() if live else ())):
        for credential in actor.credentials:
            yield from _of_headers(credential.headers)
    yield from _of_settings(target.settings)
    for variant in target.variants.values():
        yield from _of_settings(variant)
    if live is not None:
        yield from _of_settings(live.settings)
        yield password_of(live.url)
        for process in live.processes:
            yield from _of_settings(process.environment)
        for wire in live.wires:
            yield password_of(wire.url)


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if is_secret_setting(name.replace("-", "_")):
            # Authorization has a scheme before the secret
            yield value.partition(" ")[2] or value


def _of_settings(settings: Mapping[str, str]) -> Iterator[str]:
    for name, value in settings.items():
        if is_secret_setting(name):
            yield value
        yield password_of(value)
        if value.lstrip()[:1] in ("[", "{"):
            yield from _of_json(value)


def _of_json(text: str) -> Iterator[str]:
    try:
        todo: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            yield from (v for k, v in part.items() if isinstance(v, str) and is_secret_setting(k))
            todo += part.values()
        elif isinstance(part, list):
            todo += part
