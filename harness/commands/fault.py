"""qharness fault: the faults there are, and those of a server that runs."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.commands._control_client import find
from harness.commands._options import Seconds, format_option, unknown
from harness.commands._terminal import emit
from harness.errors import UsageProblem

if TYPE_CHECKING:
    from harness.catalogue import Parameter
    from harness.injection import Fault

F = TypeVar("F", bound=Callable[..., Any])

_WIDEST = 80
_COUNTS = {0: "never struck", 1: "struck once"}
_HEALERS = {"request": "healed", "lease": "healed by its lease"}


def _server_options() -> Callable[[F], F]:
    def add(command: F) -> F:
        token = click.option("--token", envvar="QHARNESS_TOKEN", help="Its token; none: from its file.")
        server = click.option("--server", metavar="URL", help="A server; none: the only one that runs here.")
        return server(token(command))

    return add


@click.group("fault")
def fault() -> None:
    """Faults there are, and faults of a running backend."""


@fault.command("list")
@click.argument("name", required=False)
@format_option("text", "json")
def list_(name: str | None, format_: str) -> int:
    """List the faults there are; with NAME, all about one."""
    from harness.injection import known_faults
    from harness.worlds._fault_board import kind_view

    kinds = known_faults()
    if name is not None and name not in kinds:
        raise UsageProblem(unknown(name, "fault", kinds))
    chosen = [kinds[name]] if name else list(kinds.values())
    if format_ == "json":
        emit(json.dumps([kind_view(k, plan=True) for k in chosen], indent=2))
    elif name:
        emit(_whole(chosen[0], _width()))
    else:
        emit("\n".join(_short(k, _width()) for k in sorted(chosen, key=lambda k: (k.layer, k.name))))
    return 0


@fault.command("add")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--for", "lease_s", type=Seconds(), default=0, help="It heals itself after so long (5s, 2m).")
@_server_options()
def add(*, name: str, settings: tuple[str, ...], lease_s: float, server: str | None, token: str | None) -> int:
    """Put a fault in force on a running backend.

    Numbers, true and false are written as in YAML, lists by commas:
    qharness fault add http_error status=503 times=0 on=status,result
    """
    from harness.injection import known_faults
    from harness.worlds._fault_board import checked

    kinds = known_faults()
    if name not in kinds:
        raise UsageProblem(unknown(name, "fault", kinds))
    params = dict(_setting(kinds[name], text) for text in settings)
    checked(name, params)
    added = find(server, token).add(name, params, round(lease_s * 1000))
    emit(f"{_in_words(added)}{_lease(added)}")
    return 0


@fault.command("show")
@format_option("text", "json")
@_server_options()
def show(format_: str, server: str | None, token: str | None) -> int:
    """Show the faults of a running backend, and how often each struck.

    Those that are spent have struck as often as they may; those that are
    healed are listed last.
    """
    found = find(server, token).board()
    if format_ == "json":
        emit(json.dumps(found, indent=2))
        return 0
    if not found["faults"]:
        emit("no fault is in force")
    for each in (*found["faults"], *found["healed"]):
        emit(_told(each))
    return 0


@fault.command("clear")
@click.argument("fault_id", required=False, metavar="[ID]")
@_server_options()
def clear(fault_id: str | None, server: str | None, token: str | None) -> int:
    """Heal one fault of a running backend, or all; says which."""
    client = find(server, token)
    healed = client.clear() if fault_id is None else [client.remove(fault_id)]
    for each in healed:
        emit(_told(each))
    if not healed:
        emit("no fault was in force")
    return 0


def _setting(kind: type[Fault], text: str) -> tuple[str, Any]:
    from harness.catalogue import from_text

    name, equals, raw = text.partition("=")
    if not equals:
        raise UsageProblem(f"{text!r} is no setting; write for instance times=2")
    if name not in kind.settings():
        raise UsageProblem(unknown(name, f"parameter of {kind.name}", kind.settings()))
    return name, from_text(kind, name, raw)


# ------------------------------------------------------------ faults of a server


def _told(held: Mapping[str, Any]) -> str:
    state = _HEALERS.get(held["healed_by"], held["state"])
    struck = _COUNTS.get(held["fired"], f"struck {held['fired']} times")
    return f"{_in_words(held)}  {state}, {struck}{_lease(held)}"


def _in_words(held: Mapping[str, Any]) -> str:
    return " ".join([f"{held['id']} ", str(held["fault"]), *(_word(k, v) for k, v in held["params"].items())])


def _word(name: str, value: object) -> str:
    """As it can be typed into a shell."""
    return f"{name}={shlex.quote(_text(value))}"


def _lease(held: Mapping[str, Any]) -> str:
    if held["left_ms"] is None:
        return ""
    return f", {held['left_ms'] / 1000:.1f} s of {held['for_ms'] / 1000:g} s left"


# ------------------------------------------------------------ kinds of faults


def _short(kind: type[Fault], width: int | None) -> str:
    from harness.catalogue import describe
    from harness.worlds._fault_board import needs_plan, plain_text

    first = describe(kind).doc.partition("\n\n")[0]
    why = needs_plan(kind)
    mark = f" (Only in a scenario: {why}.)" if why else ""
    return _wrapped(f"{kind.name:20} {kind.layer:8} ", plain_text(first) + mark, width)


def _whole(kind: type[Fault], width: int | None) -> str:
    from harness.catalogue import describe
    from harness.worlds._fault_board import PLAN_BOUND, needs_plan, plain_text

    told, why = describe(kind), needs_plan(kind)
    parts = [f"{told.name} (layer {told.layer})", ""]
    parts += [_wrapped("  ", plain_text(p), width) + "\n" for p in told.doc.split("\n\n")]
    parts += [_wrapped("  ", f"Only in a scenario, not on a backend that stands alone: {why}.\n", width)] if why else []
    for head, words in (("strikes", told.operations), ("seen in", told.evidence)):
        parts += [_wrapped(f"  {head}: ", ", ".join(words), width)] if words else []
    parts += ["", _wrapped("  example: ", told.example if why else _example(kind), width)]
    parts += ["", "  parameters:", *(_parameter(p, width) for p in told.own)]
    parts += ["", "  of every fault:", *(_parameter(p, width) for p in told.envelope if p.name not in PLAN_BOUND)]
    parts += ["", "  of every fault, only in a scenario:"]
    parts += [_parameter(p, width) for p in told.envelope if p.name in PLAN_BOUND]
    return "\n".join(parts)


def _example(kind: type[Fault]) -> str:
    """A command that adds it, so that it does what was seen elsewhere."""
    from harness.catalogue import describe

    seen = describe(kind).seen
    params = seen[0].params if seen else {}
    return " ".join(["qharness fault add", kind.name, *(_word(k, v) for k, v in params.items())])


def _parameter(parameter: Parameter, width: int | None) -> str:
    default = _text(parameter.default) or "none"
    return _wrapped(f"    {parameter.name:14} ", f"{parameter.help} (default: {default})", width)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _width() -> int | None:
    """Of the terminal; None: there is none, so each thing is one line, to be searched."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else None


def _wrapped(head: str, text: str, width: int | None) -> str:
    if width is None:
        return head + " ".join(text.split())
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
