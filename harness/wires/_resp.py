"""Redis' serialisation protocol (RESP2 and RESP3), read bit by bit as it comes and written back byte by byte.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. What can't be read is not an error here: from
there on everything is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: a value larger than this is passed on in parts, and only its beginning is known
BOUND = 8 * 1024 * 1024
#: what is kept of a value that is passed on in parts
_KEPT_CHILDREN = 16
_LONGEST_LINE = 64 * 1024
_DEEPEST = 64
_LEAVES, _BULKS, _GROUPS = b"+-:_#,(", b"$!=", b"*~>%|"


@dataclass(frozen=True, slots=True)
class Item:
    """One value: ``kind`` is its first byte on the wire, ``value`` its bytes, its children, or None for a null."""

    kind: str
    value: bytes | tuple[Item, ...] | None

    @property
    def text(self) -> bytes:
        """Its bytes; none for a group or a null."""
        return self.value if isinstance(self.value, bytes) else b""

    @property
    def children(self) -> tuple[Item, ...]:
        """What is in it; nothing in a leaf or a null."""
        return self.value if isinstance(self.value, tuple) else ()

    def encode(self) -> bytes:
        """As it was read."""
        kind = self.kind.encode()
        if isinstance(self.value, tuple):
            count = len(self.value) // 2 if self.kind in "%|" else len(self.value)
            return b"%c%d\r\n" % (kind, count) + b"".join(child.encode() for child in self.value)
        if self.value is None:
            return b"_\r\n" if self.kind == "_" else kind + b"-1\r\n"
        if kind in _BULKS:
            return b"%c%d\r\n" % (kind, len(self.value)) + self.value + b"\r\n"
        return kind + self.value + b"\r\n"


def bulk(value: bytes) -> Item:
    """A string of any bytes."""
    return Item("$", value)


def group(items: Iterable[Item]) -> Item:
    """An array."""
    return Item("*", tuple(items))


def command(arguments: Sequence[bytes]) -> bytes:
    """A command as clients write it."""
    return group(map(bulk, arguments)).encode()


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of the stream. ``item`` is None where it is no value's end, or can't be read; ``whole``: nothing was
    passed on before it, so it may still be held or changed."""

    raw: bytes
    item: Item | None
    whole: bool = True


@dataclass(slots=True)
class _Open:
    kind: str
    left: int
    children: list[Item] = field(default_factory=list)


class Reader:
    """Cuts a stream into values; ``inline`` also takes a client's bare lines for commands."""

    def __init__(self, *, inline: bool = False, bound: int = BOUND) -> None:
        self._inline, self._bound = inline, bound
        self._data = bytearray()
        #: so much of the data has been read
        self._at = 0
        self._open: list[_Open] = []
        #: bytes of a large string that are still to come, and its beginning
        self._skip, self._large = 0, Item("$", b"")
        self._parted = False
        #: it can't be read any more
        self.lost = False

    def feed(self, data: bytes) -> list[Frame]:
        """What these bytes complete, in order; joined, the pieces are the bytes fed so far but for a rest."""
        self._data += data
        frames: list[Frame] = []
        while not self.lost and (item := self._next()) is not None:
            if item.kind:
                frames.append(self._cut(item))
        if self.lost and self._data:
            self._at = len(self._data)
            frames.append(self._cut(None))
        elif self._at > self._bound or (self._at and self._parted):
            frames.append(self._cut(None))
            self._parted = True
        return frames

    def drain(self) -> bytes:
        """What was fed and is in no piece yet; the stream is not read on."""
        rest = bytes(self._data)
        self._data.clear()
        self.lost = True
        return rest

    def _cut(self, item: Item | None) -> Frame:
        raw, whole = bytes(self._data[: self._at]), not self._parted
        del self._data[: self._at]
        self._at = 0
        if item is not None:
            self._parted = False
        return Frame(raw, item, whole and item is not None)

    def _next(self) -> Item | None:
        """A top-level value, ``_MORE`` if there is more to be read, None if more must come first."""
        if self._skip:
            return self._skipped()
        bare = self._inline and not self._open and self._data[self._at : self._at + 1] != b"*"
        end = self._data.find(b"\n" if bare else b"\r\n", self._at)
        if end < 0:
            self.lost = len(self._data) - self._at > _LONGEST_LINE
            return None
        line = bytes(self._data[self._at : end])
        if bare:
            self._at = end + 1
            return group(map(bulk, line.split()))
        if line[:1] and line[:1] in _BULKS + _GROUPS:
            return self._sized(line, end)
        if line[:1] and line[:1] in _LEAVES:
            return self._leaf(line, end)
        self.lost = True
        return None

    def _leaf(self, line: bytes, end: int) -> Item:
        self._at = end + 2
        return self._done(Item(chr(line[0]), None if line == b"_" else line[1:]))

    def _sized(self, line: bytes, end: int) -> Item | None:
        kind = chr(line[0])
        try:
            size = int(line[1:])
        except ValueError:
            size = -2
        if size < -1 or len(self._open) >= _DEEPEST:
            self.lost = True
            return None
        if size == -1:
            self._at = end + 2
            return self._done(Item(kind, None))
        if line[:1] in _GROUPS:
            self._at = end + 2
            return self._begun(kind, size * 2 if kind in "%|" else size)
        return self._bulk(kind, size, end + 2)

    def _begun(self, kind: str, count: int) -> Item:
        if not count:
            return self._done(Item(kind, ()))
        self._open.append(_Open(kind, count))
        return _MORE

    def _bulk(self, kind: str, size: int, start: int) -> Item | None:
        if size > self._bound:
            self._at, self._skip, self._large = start, size + 2, Item(kind, b"")
            return _MORE
        if len(self._data) < start + size + 2:
            return None
        self._at = start + size + 2
        return self._done(Item(kind, bytes(self._data[start : start + size])))

    def _skipped(self) -> Item | None:
        taken = min(self._skip, len(self._data) - self._at)
        self._at, self._skip = self._at + taken, self._skip - taken
        self._parted = self._parted or not self._skip
        return None if self._skip else self._done(self._large)

    def _done(self, item: Item) -> Item:
        """A value is complete; so may be those that it is in."""
        while self._open:
            parent = self._open[-1]
            parent.left -= 1
            if not self._parted or len(parent.children) < _KEPT_CHILDREN:
                parent.children.append(item)
            if parent.left:
                return _MORE
            self._open.pop()
            item = Item(parent.kind, tuple(parent.children))
        return item


_MORE = Item("", None)
