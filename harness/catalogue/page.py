"""The page docs/faults.md, printed from the registry: ``python -m harness.catalogue.page > docs/faults.md``.

A test compares the file with what this prints, so the two can't drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.catalogue import FaultDescription, Parameter, describe, descriptions, example
from harness.catalogue.seen import KINDS, REPORTS, Seen
from harness.injection import known_faults

_HEAD = """\
# Faults

Generated from the registry: `python -m harness.catalogue.page > docs/faults.md`.

A fault disturbs calls at one layer of a double, or of a wire before a dependency that is none. A scenario names it in
its list `faults:`; a running backend takes it by `qharness fault add NAME KEY=VALUE…`. Its parameters are its own and
those of the envelope, the same for all.

A backend tells everything in its own words before a protocol says it in a vendor's. So a fault is written once and
looks right in every dialect:

| layer | what is disturbed |
|---|---|
| `http` | a request and its answer, as bytes |
| `identity` | whether a caller is let in, and as whom |
| `view` | a run as it is told: its state, times, place, cost |
| `result` | what is told of a run's results |
| `device` | a device as it is published (`device`); the calibration that a run is executed with (`execute`) |
| `run` | a stage of a run's life: `queue`, `execute`, a `cancel` that arrived, the time of a `session` |
| `process` | an await of the target, or a whole process of it |
| `tcp` | what passes any wire: a connection made (`connect`), a chunk (`up`, `down`), an end (`close`) |
| `sql` | a statement on a wire of protocol `postgres` |
| `queue` | a message, or a word about one, on a wire of protocol `redis` or `amqp` |

**Before or after acceptance** is the difference that matters: `submit_error`, and `http_error` with `when: before`,
leave no run behind; `response_lost`, `http_error` with `when: after`, `reply_cut` and `id_lost` leave one that costs.

Faults of the layers `tcp`, `sql` and `queue` need a target that runs live, and a wire of that kind in its `live:
wires:`; `at` names one of several. Faults of layer `http` strike a wire of protocol `http` too, by its name or its
`service`: `{fault: http_error, params: {at: billing, status: 503}}`.
"""


_FAR = 100_000_000


def document() -> str:
    """The whole page."""
    all_faults = descriptions()
    parts = (
        _HEAD,
        "## The envelope\n",
        _table(("parameter", "type", "default", "what it is"), _rows(describe(known_faults()["noop"]).envelope)),
        "## All faults\n",
        _table(("fault", "layer", "strikes", "what it does"), map(_line, all_faults)),
        *map(_section, all_faults),
        "## Failures reported against real backends\n",
        _table(("area", "what was seen", "reported as", "fault"), map(_seen, REPORTS)),
        "## Kinds of fault that chaos tools know\n",
        _table(("area", "what is disturbed", "fault"), (_seen(s, reported=False) for s in KINDS)),
    )
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _line(fault: FaultDescription) -> Sequence[str]:
    return f"[`{fault.name}`](#{fault.name})", fault.layer, _places(fault), _marked(fault.summary)


def _section(fault: FaultDescription) -> str:
    shared = {p.name: p for p in describe(known_faults()["noop"]).envelope}
    changed = [p for p in fault.envelope if (p.default, p.choices) != (shared[p.name].default, shared[p.name].choices)]
    parameters = [*fault.own, *changed]
    where = f"layer `{fault.layer}`; strikes {_places(fault)}"
    whose = f" of the service `{fault.service}`" if fault.service else " of wires"
    parts = [
        f"### {fault.name}\n",
        f"{_marked(fault.doc)}\n",
        f"*Where:* {where}" + ("" if fault.service == "backend" else whose) + ".\n",
        _table(("parameter", "type", "default", "what it is"), _rows(parameters)) if parameters else "",
        f"```yaml\n{_examples(fault)}```\n",
        f"*Evidence:* {', '.join(fault.evidence)}.\n" if fault.evidence else "",
    ]
    return "\n".join(p for p in parts if p)


def _examples(fault: FaultDescription) -> str:
    """Up to three, with what they reproduce."""
    if not fault.seen:
        return f"{fault.example}\n"
    return "".join(f"{example(s.fault, s.params)}  # {s.what}\n" for s in fault.seen[:3])


def _rows(parameters: Iterable[Parameter]) -> Iterator[Sequence[str]]:
    for p in parameters:
        kind = " ".join(f"`{_shown(c)}`" for c in p.choices) if p.closed else f"{p.type}{_bounds(p)}"
        yield f"`{p.name}`", kind, f"`{_shown(p.default)}`", p.help


def _bounds(parameter: Parameter) -> str:
    """Those that are news: that a time is not below 0, and is years at most, goes without saying."""
    least, most = parameter.least, parameter.most
    if most is not None and most < _FAR:
        return f", {_shown(least)} to {_shown(most)}"
    return f", from {_shown(least)}" if least else ""


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value) if value != "" else '""'


def _seen(seen: Seen, reported: bool = True) -> Sequence[str]:
    use = example(seen.fault, seen.params).removeprefix("- ")
    return (seen.area, seen.what, *([" ".join(seen.reports)] if reported else []), f"`{use}`")


def _places(fault: FaultDescription) -> str:
    wide = describe(known_faults()["noop"]).operations
    if not fault.operations:
        return "what `at` and `on` say"
    return "every request" if fault.operations == wide else " ".join(f"`{w}`" for w in fault.operations)


def _marked(text: str) -> str:
    """Markdown of a docstring."""
    return text.replace("``", "`")


if __name__ == "__main__":
    print(document(), end="")
