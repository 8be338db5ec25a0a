"""The words of the HTTP layer for what a request is about, shared by faults that know them all."""

from __future__ import annotations

EVERY = (
    "submit",
    "status",
    "result",
    "cancel",
    "list",
    "device",
    "session",
    "token",
    "upload",
    "usage",
    "other",
)
#: those that a pipeline can't do without; agents draw from these
USUAL = EVERY[:6]
