"""All that the courier remembers: budgets, sign-offs, works. In memory only, under one lock.

The lock is there because some endpoints run in worker threads. Works change only on the event loop.
"""

from __future__ import annotations

import secrets
from threading import Lock
from typing import Any

from .records import Budget, Caller, Order, Refused, Signoff, Work
from .settings import Settings


class Books:
    """The whole memory of one life of the service."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, Lock()
        self.budgets = {org: Budget(settings.credits) for org in settings.people}
        self._signoffs: dict[int, Signoff] = {}
        self._works: dict[str, Work] = {}
        self._dedupe: dict[tuple[str, str], Work] = {}

    # ------------------------------------------------------------ works

    def work(self, ref: str, caller: Caller) -> Work:
        """The caller's work of a name."""
        if not (work := self._works.get(ref)):
            raise Refused(404, "no such work")
        if work.by.org != caller.org:
            raise Refused(403, "not yours")
        return work

    def works_of(self, org: str) -> list[Work]:
        """All works of an org."""
        with self._lock:
            return [w for w in self._works.values() if w.by.org == org]

    def affordable(self, caller: Caller, credits: int) -> None:
        """Refused if the org can't pay so much now."""
        if credits > self.budgets[caller.org].left:
            raise Refused(403, f"over budget: {self.budgets[caller.org].left} credits left")

    def known(self, caller: Caller, order: Order, dedupe: str | None) -> Work | None:
        """The work that was made with this word; Refused if it was other work."""
        work = self._dedupe.get((caller.org, dedupe)) if dedupe else None
        if work and work.order != order:
            raise Refused(409, "that dedupe word was used for other work")
        return work

    def admit(self, caller: Caller, order: Order, dedupe: str | None) -> tuple[Work, bool]:
        """The work of an order, and whether it is new. All or nothing, in one go."""
        with self._lock:
            if work := self.known(caller, order, dedupe):
                return work, False
            signoff = self._signed(caller, order)
            if "budget-race" not in self._settings.bugs:
                self.affordable(caller, order.credits)
            work = Work(f"w-{secrets.token_hex(4)}", caller, order)
            self.budgets[caller.org].held += order.credits
            self._works[work.ref] = work
            if dedupe:
                self._dedupe[caller.org, dedupe] = work
            if signoff:
                signoff.used = work.ref
            return work, True

    def finish(self, work: Work, now: str, spent: int, **more: Any) -> None:
        """The work is over: what it did not spend goes back. Only the first end counts."""
        if work.over:
            return
        with self._lock:
            budget = self.budgets[work.by.org]
            budget.held -= work.order.credits
            budget.spent += spent
        work.become(now, **more)

    # ------------------------------------------------------------ sign-offs

    def signoff(self, number: int, caller: Caller) -> Signoff:
        """The sign-off of a number, if it is of the caller's org."""
        if not (signoff := self._signoffs.get(number)):
            raise Refused(404, "no such sign-off")
        if signoff.by.org != caller.org:
            raise Refused(403, "not yours")
        return signoff

    def ask(self, caller: Caller, order: Order) -> Signoff:
        """A new sign-off, waiting."""
        with self._lock:
            signoff = Signoff(len(self._signoffs) + 1, caller, order)
            self._signoffs[signoff.number] = signoff
            return signoff

    def say(self, signoff: Signoff, caller: Caller, ok: bool) -> None:
        """One person's word; never the author's own, never twice, never after the end."""
        with self._lock:
            if caller.user == signoff.by.user:
                raise Refused(409, "somebody else must say that")
            if "double-ok" not in self._settings.bugs and caller.user in dict(signoff.said):
                raise Refused(409, "you have spoken already")
            if signoff.word(self._settings.oks) in ("REFUSED", "USED"):
                raise Refused(409, "that sign-off is closed")
            signoff.said.append((caller.user, ok))

    def _signed(self, caller: Caller, order: Order) -> Signoff | None:
        """The sign-off under which an order may go; None if it needs none and names none."""
        if order.signoff is None:
            if order.credits > self._settings.signoff_over:
                raise Refused(403, "this work needs a sign-off")
            return None
        signoff = self.signoff(order.signoff, caller)
        word = signoff.word(self._settings.oks)
        if word == "USED":
            raise Refused(409, "that sign-off was used")
        same = signoff.order.angles == order.angles and order.credits <= signoff.order.credits
        if word != "GRANTED" or not same:
            raise Refused(403, "this work needs a sign-off")
        return signoff
