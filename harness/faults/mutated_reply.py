"""An answer with one value changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply


@dataclass(frozen=True, kw_only=True)
class MutatedReply(Fault):
    """Changes one value of a JSON answer, or takes it away: valid by its form, wrong, and nothing else tells.

    The value is named by a JSON Pointer (RFC 6901); without one, some value without parts is drawn. Answers that are no
    JSON, errors, and those without such a place pass unharmed.
    """

    name: ClassVar[str] = "mutated_reply"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL

    pointer: str = setting("", "which value: a JSON Pointer, e.g. /status or /jobs/0/id; empty: one drawn at random")
    way: str = setting("replace", "replace: by value; remove: it is not there", ("replace", "remove"))
    value: str = setting("null", "what stands there instead, as JSON", ("null", "0", "-1", '""', "[]"), closed=False)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The answer, with one value another."""
        reply: Reply = await proceed(call)
        if not 200 <= reply.status < 300:
            return reply
        try:
            value = json.loads(reply.body)
        except ValueError:
            return reply
        pointer = self.pointer or self._drawn(value, act)
        body = json.dumps(self._changed(value, pointer.split("/")[1:])).encode()
        headers = {k: v for k, v in reply.headers.items() if k != "content-length"}
        return replace(reply, body=body, headers=headers)

    def _drawn(self, value: Any, act: Act) -> str:
        """The pointer of a value without parts that would be another; empty: there is none but the whole."""
        unlike = {} if self.way == "remove" else {"value": _read(self.value)}
        leaves = [at for at, leaf in _leaves(value, "") if not unlike or leaf != unlike["value"]]
        return leaves[int(act.rng.random() * len(leaves))] if leaves else ""

    def _changed(self, value: Any, keys: list[str]) -> Any:
        if not keys:
            return _read(self.value)
        place = _within(value, keys[:-1])
        last = _key(place, keys[-1])
        if last is None:
            return value
        if self.way == "remove":
            del place[last]
        else:
            place[last] = _read(self.value)
        return value


def _read(text: str) -> Any:
    """JSON, or the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _within(value: Any, keys: list[str]) -> Any:
    for key in keys:
        found = _key(value, key)
        if found is None:
            return None
        value = value[found]
    return value


def _key(value: Any, key: str) -> Any:
    """The key or index under which a pointer's word finds something; None: it doesn't."""
    if isinstance(value, dict):
        word = key.replace("~1", "/").replace("~0", "~")
        return word if word in value else None
    if isinstance(value, list) and key.isascii() and key.isdecimal() and int(key) < len(value):
        return int(key)
    return None


def _leaves(value: Any, at: str) -> list[tuple[str, Any]]:
    """Every value without parts below a place, with its pointer."""
    if not isinstance(value, dict | list) or not value:
        return [(at, value)] if at else []
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for k, v in parts for leaf in _leaves(v, f"{at}/{_word(str(k))}")]


def _word(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
