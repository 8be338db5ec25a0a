"""qharness fault: the faults there are, and those of a server that runs."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.commands._control_client import find
from harness.commands._options import Seconds, format_option, unknown
from harness.commands._terminal import emit
from harness.errors import UsageProblem

if TYPE_CHECKING:
    from harness.injection import Fault

F = TypeVar("F", bound=Callable[..., Any])


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
    from harness.worlds.control import kind_view

    kinds = known_faults()
    if name is not None and name not in kinds:
        raise UsageProblem(unknown(name, "fault", kinds))
    chosen = [kinds[name]] if name else list(kinds.values())
    if format_ == "json":
        emit(json.dumps([kind_view(k) for k in chosen], indent=2))
    elif name:
        emit(_whole(chosen[0]))
    else:
        emit("\n".join(_short(k) for k in sorted(chosen, key=lambda k: (k.layer, k.name))))
    return 0


@fault.command("add")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--for", "lease_s", type=Seconds(), default=0, help="It heals itself after so long (5s, 2m).")
@_server_options()
def add(*, name: str, settings: tuple[str, ...], lease_s: float, server: str | None, token: str | None) -> int:
    """Put a fault in force on a running backend.

    A value is read as JSON if it is JSON, else as text; lists by commas:
    qharness fault add http_error status=503 times=0 on=status,result
    """
    from harness.injection import known_faults

    kinds = known_faults()
    if name not in kinds:
        raise UsageProblem(unknown(name, "fault", kinds))
    params = dict(_setting(kinds[name], text) for text in settings)
    added = find(server, token).add(name, params, round(lease_s * 1000))
    emit(f"{added['id']}  {_in_words(added)}")
    return 0


@fault.command("show")
@format_option("text", "json")
@_server_options()
def show(format_: str, server: str | None, token: str | None) -> int:
    """Show the faults in force on a running backend, and how often each struck."""
    found = find(server, token).faults()
    if format_ == "json":
        emit(json.dumps(found, indent=2))
        return 0
    for each in found:
        emit(f"{each['id']}  {_in_words(each)}  struck {each['fired']} times")
    if not found:
        emit("no fault is in force")
    return 0


@fault.command("clear")
@click.argument("fault_id", required=False, metavar="[ID]")
@_server_options()
def clear(fault_id: str | None, server: str | None, token: str | None) -> int:
    """Heal one fault of a running backend, or all."""
    client = find(server, token)
    if fault_id is None:
        client.clear()
    else:
        client.remove(fault_id)
    return 0


def _setting(kind: type[Fault], text: str) -> tuple[str, Any]:
    name, equals, raw = text.partition("=")
    if not equals:
        raise UsageProblem(f"{text!r} is no setting; write for instance times=2")
    if name not in kind.settings():
        raise UsageProblem(unknown(name, f"parameter of {kind.name}", kind.settings()))
    default = kind.settings()[name].default
    if isinstance(default, str):
        return name, raw
    if isinstance(default, tuple):
        return name, [_value(part) for part in raw.split(",")] if raw else []
    return name, _value(raw)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _in_words(armed: Mapping[str, Any]) -> str:
    params = (f"{k}={_text(v)}" for k, v in armed["params"].items())
    return " ".join([str(armed["fault"]), *params])


def _short(kind: type[Fault]) -> str:
    first = (kind.__doc__ or "").strip().partition("\n\n")[0]
    return _wrapped(f"{kind.name:20} {kind.layer:8} ", " ".join(first.split()))


def _whole(kind: type[Fault]) -> str:
    from harness.injection import Fault as Envelope

    parts = [f"{kind.name} (layer {kind.layer})", ""]
    parts += [_wrapped("  ", " ".join(p.split())) + "\n" for p in (kind.__doc__ or "").strip().split("\n\n")]
    if kind.operations:
        parts += [_wrapped("  strikes: ", ", ".join(kind.operations))]
    if kind.evidence:
        parts += [_wrapped("  seen in: ", ", ".join(kind.evidence))]
    own = {name: s for name, s in kind.settings().items() if name not in Envelope.settings()}
    parts += ["", _wrapped("  example: ", _example(kind, own)), "", "  parameters:"]
    parts += [_parameter(name, setting) for name, setting in own.items()]
    parts += ["", "  of every fault:"]
    parts += [_parameter(name, setting) for name, setting in Envelope.settings().items()]
    return "\n".join(parts)


def _example(kind: type[Fault], own: Mapping[str, Any]) -> str:
    """A command that adds it, its first parameters not as they are by default."""
    chosen = {name: s.metadata["choices"] for name, s in own.items() if len(s.metadata["choices"]) > 1}
    settings = [f"{name}={_text(choices[1])}" for name, choices in list(chosen.items())[:2]]
    return " ".join(["qharness fault add", kind.name, *settings, "times=2"])


def _parameter(name: str, setting: Any) -> str:
    default = _text(setting.default) or "none"
    return _wrapped(f"    {name:14} ", f"{setting.metadata['help']} (default: {default})")


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(head: str, text: str) -> str:
    width = min(shutil.get_terminal_size().columns, 80)
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
