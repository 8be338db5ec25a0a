"""``live.stop`` of target.yaml: when a run against a living target must end before its budget does.

stop:
  errors: {share: 0.5, over: 40}          # more than half of the last 40 calls unanswered or 5xx
  latency: {p95_ms: 2000, over: 50}       # 95 % of the last 50 calls took no more than that
  probe: {http: /health, every_s: 5}      # or {command: [./still-fine]}; must succeed
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.inputs.nodes import Node


@dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """Ends the run when more than a share of the last calls went unanswered, or were answered with 5xx."""

    share: float
    over: int = 40


@dataclass(frozen=True, kw_only=True)
class LatencyLimit:
    """Ends the run when the 95th percentile of the last calls' times is above this, in real milliseconds."""

    p95_ms: float
    over: int = 40


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Something that must keep succeeding: a GET on the target (a status below 400), or a command (exit code 0)."""

    #: path on the target; "" where a command is asked
    http: str = ""
    command: tuple[str, ...] = ()
    every_s: float = 5.0
    timeout_s: float = 5.0
    #: so many in a row end the run
    failures: int = 2
    #: failures count while a fault of ours is in force, too
    during_faults: bool = False


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Conditions that end a run; of each kind one at most."""

    errors: ErrorBudget | None = None
    latency: LatencyLimit | None = None
    probe: Probe | None = None


def read_stop(node: Node) -> Stop:
    """The conditions of a ``stop`` mapping; FileProblem if one of them makes no sense."""
    section = node.section("errors", "latency", "probe")
    if not any(section.get(k) for k in ("errors", "latency", "probe")):
        raise node.problem("says no condition", "Write one or more of errors, latency, probe.")
    return Stop(
        errors=section.read("errors", _errors, None),
        latency=section.read("latency", _latency, None),
        probe=section.read("probe", _probe, None),
    )


def _errors(node: Node) -> ErrorBudget:
    section = node.section("share", "over", required=("share",))
    share = section.need("share").number(0)
    if share >= 1:
        raise section.need("share").problem(f"{share:g} of all calls is never exceeded", "Write, e.g., share: 0.5.")
    return ErrorBudget(share=share, over=section.read("over", _calls, ErrorBudget.over))


def _latency(node: Node) -> LatencyLimit:
    section = node.section("p95_ms", "over", required=("p95_ms",))
    return LatencyLimit(p95_ms=section.need("p95_ms").number(0.1), over=section.read("over", _calls, LatencyLimit.over))


def _calls(node: Node) -> int:
    return node.integer(5, 100_000)


def _probe(node: Node) -> Probe:
    section = node.section("http", "command", "every_s", "timeout_s", "failures", "during_faults")
    if ("http" in section.entries) == ("command" in section.entries):
        raise node.problem("must ask one thing", "Write {http: /health}, or {command: [./still-fine]}.")
    return Probe(
        http=section.read("http", _path, ""),
        command=section.read("command", lambda n: tuple(w.word() for w in n.listing(1)), ()),
        every_s=section.read("every_s", lambda n: n.number(0.1, 3_600), Probe.every_s),
        timeout_s=section.read("timeout_s", lambda n: n.number(0.1, 600), Probe.timeout_s),
        failures=section.read("failures", lambda n: n.integer(1, 1_000), Probe.failures),
        during_faults=section.read("during_faults", Node.flag, Probe.during_faults),
    )


def _path(node: Node) -> str:
    if not node.text().startswith("/"):
        raise node.problem(f"{node.text()!r} is no path", "Write, e.g., /health.")
    return node.text()
