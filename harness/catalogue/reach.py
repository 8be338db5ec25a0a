"""Which faults a target can have at all: some need a wire of their layer, or processes that were started here."""

from __future__ import annotations

from harness.faults._flows import WireFault
from harness.injection import Fault
from harness.inputs import families
from harness.inputs.target import Live, Target, WireUse
from harness.registry import subclass
from harness.wires._wire import Wire


def can_strike(kind: type[Fault], target: Target, *, live: bool, at: str = "") -> bool:
    """Whether there is anything in a target, played this way, that a fault could strike; ``at`` as in its envelope."""
    running = target.live if live else None
    if kind.needs_processes:
        return running is not None and bool(running.processes)
    if not kind.service:
        return any(_carries(w, kind) for w in _wires(running) if at in ("", w.name))
    if not at or at == kind.service:
        return True
    doubled = {families.doubles()[d.double].service for d in target.doubles}
    return at in doubled or any(_carries(w, kind) for w in _wires(running) if at in (w.name, w.options.get("service")))


def _wires(live: Live | None) -> tuple[WireUse, ...]:
    return live.wires if live else ()


def _carries(use: WireUse, kind: type[Fault]) -> bool:
    wire = subclass("harness.wires", use.protocol, Wire)  # type: ignore[type-abstract]
    fitting = not (issubclass(kind, WireFault) and kind.needs_tls) or bool(use.options.get("tls"))
    return kind.layer in wire.layers and fitting
