"""What a reader of circuits raises."""

from __future__ import annotations


class Unreadable(Exception):
    """A program, or a file, is no circuit that can be executed here; the message says where and why, to a client."""
