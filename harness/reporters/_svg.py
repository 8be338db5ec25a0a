"""Timelines as SVG: presentation attributes first, so that they still show where CSS and scripts are blocked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from math import log10
from types import MappingProxyType

from harness.exhibits.timeline import Lane, Mark, Timeline
from harness.exhibits.words import duration

NAME_PX, PLOT_PX, WIDEST_PX = 148, 740, 3200
ROW_PX, BAR_PX, GAP_PX, TOP_PX = 22, 12, 10, 40
CHAR_PX = 5.9
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"

#: kind of mark → fill; the same names are classes in report.css, which knows the dark ones too
FILLS: Mapping[str, str] = MappingProxyType(
    {
        "accepted": "#3b6fd4",
        "refused": "#c98a1b",
        "unknown": "#8b8f98",
        "fault": "#c4314b",
        "queued": "#b9c0cc",
        "note": "#8b8f98",
        "run-completed": "#2b8a8f",
        "run-running": "#2b8a8f",
        "run-failed": "#c4314b",
        "run-canceled": "#8b8f98",
        "state-queued": "#b9c0cc",
        "state-authorized": "#9fb6dd",
        "state-running": "#3b6fd4",
        "state-primary_failed": "#c98a1b",
        "state-falling_back": "#a06fcf",
        "state-cancelling": "#c98a1b",
        "state-succeeded": "#3a8f5c",
        "state-failed": "#c4314b",
        "state-cancelled": "#8b8f98",
        "state-expired": "#8b8f98",
    }
)
OTHER = "#8b8f98"


@dataclass(frozen=True)
class _Look:
    """A colour, and the class under which report.css may choose another."""

    colour: str
    kind: str
    weight: str = ""
    dash: str = ""


NAME = _Look("#1c2430", "name", weight="600")
TICK = _Look(OTHER, "tick")
ON, ON_PALE, BESIDE = _Look("#ffffff", "on"), _Look("#1c2430", "on-pale"), _Look("#1c2430", "beside")
RULE, GRID = _Look("#d9dde4", "rule"), _Look("#d9dde4", "grid")
PROOF = _Look("#c4314b", "proof", weight="600", dash="2 3")


@dataclass(frozen=True)
class _Axis:
    """Event number → x. A step for each event, and more the more time lies between (logarithmic)."""

    xs: Mapping[int, float]
    end: float

    @staticmethod
    def of(times: Sequence[tuple[int, int]]) -> _Axis:
        raw: dict[int, float] = {}
        x, before = 0.0, times[0][1] if times else 0
        for n, at_ns in times:
            x += 6 + 9 * log10(1 + max(at_ns - before, 0) / 1e6)
            raw[n], before = x, at_ns
        scale = max(min(PLOT_PX / (x + 6), 6.0), 1.0) if x else 1.0
        scale = min(scale, WIDEST_PX / (x or 1))
        xs = {n: NAME_PX + v * scale for n, v in raw.items()}
        return _Axis(xs, NAME_PX + max(x * scale + 12, PLOT_PX))


def draw(line: Timeline, prefix: str) -> str:
    """The timeline as an SVG element. ``prefix`` makes its ids unique within the page."""
    if not line.times:
        return ""
    axis = _Axis.of(line.times)
    body, y, group = [], float(TOP_PX), ""
    for lane in line.lanes:
        y += GAP_PX if lane.group != group else 0
        if lane.group != group:
            body.append(_across(8, axis.end, y - 5, RULE))
        group = lane.group
        rows = _pack(lane, axis)
        body += _lane(lane, rows, axis, y, frozenset(line.proof))
        y += ROW_PX * (max(rows.values()) + 1)
    head = [*_ticks(line, axis, y), *_flags(line, axis, y, prefix)]
    width = max([axis.end, *(_right(m, axis) for lane in line.lanes for m in lane.marks)]) + 12
    size = f'viewBox="0 0 {width:.0f} {y + 8:.0f}" width="{width:.0f}" height="{y + 8:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" {size} '
        f'font-family="{FONT}" font-size="10.5"><title>Timeline</title>' + "".join(head) + "".join(body) + "</svg>"
    )


def _pack(lane: Lane, axis: _Axis) -> dict[int, int]:
    """Mark index → row, so that neither bars nor labels overlap."""
    ends: list[float] = []
    rows: dict[int, int] = {}
    for index, mark in enumerate(lane.marks):
        left, right = axis.xs[mark.first], _right(mark, axis)
        row = next((r for r, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [right]
        rows[index] = row
    return rows


def _right(mark: Mark, axis: _Axis) -> float:
    """Where a mark and its label end."""
    right = max(axis.xs[mark.last], axis.xs[mark.first] + 5)
    return right if _fits(mark, axis) else right + len(mark.label) * CHAR_PX + 8


def _fits(mark: Mark, axis: _Axis) -> bool:
    return len(mark.label) * CHAR_PX + 6 <= axis.xs[mark.last] - axis.xs[mark.first]


def _lane(lane: Lane, rows: Mapping[int, int], axis: _Axis, y: float, proof: frozenset[int]) -> Iterator[str]:
    yield _text(8, y + 14, lane.name[:22], NAME)
    for index, mark in enumerate(lane.marks):
        yield from _mark(mark, axis, y + ROW_PX * rows[index] + 4, bool(proof & set(mark.events)))


def _mark(mark: Mark, axis: _Axis, y: float, proves: bool) -> Iterator[str]:
    x, width = axis.xs[mark.first], max(axis.xs[mark.last] - axis.xs[mark.first], 5)
    fill = FILLS.get(mark.kind, OTHER)
    edge = f' stroke="{PROOF.colour}" stroke-width="2"' if proves else ""
    kinds = f"mark {mark.kind}" + (" proves" if proves else "")
    yield (
        f'<g class="{kinds}"><title>{escape(mark.title or mark.label)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_PX}" rx="2" fill="{fill}"{edge}/>'
    )
    if mark.label and _fits(mark, axis):
        pale = mark.kind in ("queued", "state-queued", "state-authorized")
        yield _text(x + 4, y + 9.5, mark.label, ON_PALE if pale else ON)
    elif mark.label:
        yield _text(x + width + 4, y + 9.5, mark.label, BESIDE)
    yield "</g>"


def _ticks(line: Timeline, axis: _Axis, bottom: float) -> Iterator[str]:
    """Times at the top, where the time changes and there is room."""
    free, before, told = 0.0, -1, ""
    yield _text(8, TOP_PX - 22, "the play's time", TICK)
    for n, at_ns in line.times:
        x, label = axis.xs[n], duration(at_ns / 1e6)
        if at_ns == before or label == told or x < free:
            continue
        yield _text(x, TOP_PX - 22, label, TICK)
        yield _down(x, TOP_PX - 18, bottom, GRID)
        free, before, told = x + len(label) * CHAR_PX + 14, at_ns, label


def _flags(line: Timeline, axis: _Axis, bottom: float, prefix: str) -> Iterator[str]:
    """A flag for each event that proves the violation, with its number where there is room."""
    shown = [n for n in line.proof if n in axis.xs]
    for n, following in zip_longest(shown, shown[1:]):
        x, label = axis.xs[n], f"#{n}"
        yield f'<g class="flag" id="{prefix}e{n}"><title>event {n} proves it</title>'
        yield _down(x, TOP_PX - 6, bottom, PROOF)
        yield f'<path d="M{x - 4:.1f} {TOP_PX - 12}h8l-4 7z" fill="{PROOF.colour}" class="proof"/>'
        if following is None or axis.xs[following] - x > len(label) * CHAR_PX + 14:
            yield _text(x + 6, TOP_PX - 5, label, PROOF)
        yield "</g>"


def _text(x: float, y: float, words: str, look: _Look) -> str:
    bold = f' font-weight="{look.weight}"' if look.weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{look.colour}" class="{look.kind}"{bold}>{escape(words)}</text>'


def _across(x1: float, x2: float, y: float, look: _Look) -> str:
    return f'<line x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}" stroke="{look.colour}" class="{look.kind}"/>'


def _down(x: float, y1: float, y2: float, look: _Look) -> str:
    dashes = f' stroke-dasharray="{look.dash}"' if look.dash else ""
    ends = f'x1="{x:.1f}" y1="{y1:.1f}" x2="{x:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{look.colour}" class="{look.kind}"{dashes}/>'
