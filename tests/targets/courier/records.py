"""What the courier knows of: callers, orders, budgets, sign-offs, works."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

OVER = frozenset({"DONE", "BROKEN", "STOPPED"})


class Refused(Exception):
    """The answer is no; only the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True)
class Caller:
    """Who asks, and for whom."""

    org: str
    user: str


@dataclass(frozen=True)
class Order:
    """What is asked for."""

    credits: int
    angles: tuple[float, ...]
    signoff: int | None = None


@dataclass
class Budget:
    """Credits of one org: promised ones are held until the work is over."""

    credits: int
    held: int = 0
    spent: int = 0

    @property
    def left(self) -> int:
        """What may still be promised."""
        return self.credits - self.held - self.spent


@dataclass
class Signoff:
    """A heavy order and what people of the org said of it."""

    number: int
    by: Caller
    order: Order
    said: list[tuple[str, bool]] = field(default_factory=list)
    used: str | None = None

    def word(self, needed: int) -> str:
        """WAITING, GRANTED, REFUSED or USED."""
        if self.used:
            return "USED"
        if any(not ok for _, ok in self.said):
            return "REFUSED"
        return "GRANTED" if len(self.said) >= needed else "WAITING"

    def view(self, needed: int) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "number": self.number,
            "by": self.by.user,
            "credits": self.order.credits,
            "is": self.word(needed),
            "said": [{"who": who, "ok": ok} for who, ok in self.said],
            "work": self.used,
        }


@dataclass
class Work:
    """One order being carried out. ``bell`` rings at each change."""

    ref: str
    by: Caller
    order: Order
    now: str = "NEW"
    answer: float | None = None
    via: str | None = None
    why: str | None = None
    stopping: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Nothing changes any more."""
        return self.now in OVER

    def become(self, now: str, **more: Any) -> None:
        """Change, and wake whoever waits."""
        self.now = now
        for name, value in more.items():
            setattr(self, name, value)
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits."""
        self.bell.set()
        self.bell = asyncio.Event()

    async def changes(self, within_s: float) -> bool:
        """Wait for the next change, if there can be one; whether it came in time."""
        if self.over:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self.bell.wait()
        except TimeoutError:
            return False
        return True

    async def ends(self, within_s: float) -> bool:
        """Wait for the end; whether it came in time."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not self.over:
            if not await self.changes(deadline - asyncio.get_running_loop().time()):
                return False
        return True

    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "ref": self.ref,
            "by": self.by.user,
            "credits": self.order.credits,
            "signoff": self.order.signoff,
            "now": self.now,
            "answer": self.answer,
            "via": self.via,
            "why": self.why,
        }
