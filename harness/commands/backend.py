"""qharness backend: a simulated quantum backend to develop against."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands._control_client import Known
from harness.commands._options import Ids, format_option, unknown
from harness.commands._terminal import emit, note
from harness.errors import UsageProblem

if TYPE_CHECKING:
    from harness.backend.devices import Device
    from harness.worlds.standalone import Answered, Serving, Standalone

DEFAULT_PORT = 8700
_INTERRUPTED = 130
_LATENCIES = ("queue_ms", "setup_ms", "shot_us")


@click.group("backend")
def backend() -> None:
    """A simulated quantum backend behind real providers' protocols."""


@backend.command("serve")
@click.option("--protocol", "protocols", type=Ids(), default=(), help="Protocols, by commas; none: all there are.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--device", "devices", multiple=True, metavar="NAME|FILE", help="Only these devices; repeatable.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--queue", metavar="KIND:A[,B]", help="… or by a distribution, in ms: lognormal:2000,0.8")
@click.option("--queue-ms", type=click.IntRange(min=0), default=None, help="How long every run waits in the queue.")
@click.option("--setup-ms", type=click.IntRange(min=0), default=None, help="What every circuit costs in time.")
@click.option("--shot-us", type=click.IntRange(min=0), default=None, help="What every shot costs in time.")
@click.option("--key", "keys", multiple=True, metavar="KEY[=TENANT]", help="Let in only these keys; repeatable.")
@click.option("--env-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the export lines here too.")
@click.option("--quiet", is_flag=True, help="No line for each request.")
@format_option("text", "json")
def serve(*, protocols: tuple[str, ...], env_file: Path | None, quiet: bool, format_: str, **options: Any) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Prints the variables that point each vendor's SDK here (stdout), then one
    line a request (stderr). One protocol alone is served at its usual paths,
    several each under /NAME. The control API is under /qharness/; qharness
    fault talks to it.
    """
    from harness.backend.devices import QueueTime
    from harness.worlds.standalone import Serving, protocol_names

    known = protocol_names()
    if strange := [p for p in protocols if p not in known]:
        raise UsageProblem(unknown(strange[0], "protocol", known))
    devices = _chosen(options["devices"], protocols or known)
    _check_devices(devices, protocols)
    protocols = protocols or known
    timing: dict[str, Any] = {k: options[k] for k in _LATENCIES if options[k] is not None}
    if options["queue"]:
        timing["queue"] = QueueTime.of(options["queue"])
    elif "queue_ms" in timing:
        timing["queue"] = None
    serving = Serving(
        protocols=protocols,
        devices=tuple(replace(d, **timing) for d in devices),
        seed=options["seed"],
        host=options["host"],
        port=options["port"],
        # a credential must not follow from the seed
        token=os.environ.get("QHARNESS_TOKEN") or secrets.token_urlsafe(24),
        keys=_keys(options["keys"]),
    )
    if not _is_loopback(serving.host):
        note(f"warning: {serving.host} can be reached from other machines; whoever reaches it may run jobs")
    tell = _tell_json if format_ == "json" else _tell
    return asyncio.run(_serve(serving, lambda server: tell(server, env_file), None if quiet else _line))


async def _serve(serving: Serving, tell: Callable[[Standalone], None], line: Callable[[Answered], None] | None) -> int:
    from harness.worlds.standalone import Standalone

    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number, code in ((signal.SIGINT, _INTERRUPTED), (signal.SIGTERM, 0)):
        asyncio.get_running_loop().add_signal_handler(number, _end, told, code)
    _rarely_collect_garbage()
    async with Standalone(serving, line) as server:
        known = Known(url=server.url, token=serving.token, pid=os.getpid())
        known.write()
        try:
            tell(server)
            return await told
        finally:
            known.remove()


def _rarely_collect_garbage() -> None:
    """What is loaded by now stays; requests make few cycles, and looking for them cost a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _end(told: asyncio.Future[int], code: int) -> None:
    if not told.done():
        told.set_result(code)


# ------------------------------------------------------------ what is told


def _tell(server: Standalone, env_file: Path | None) -> None:
    lines = [f"# {name}: {url}" for name, url in server.urls.items()]
    lines += [f"# control: {server.url}/qharness/  token: {server.serving.token}"]
    for sdk, variables in server.environment().items():
        lines += [f"# for {sdk}", *_exports(variables)]
    lines += _comments(server)
    _write_environment(server, env_file)
    emit("\n".join(lines))
    sys.stdout.flush()


def _tell_json(server: Standalone, env_file: Path | None) -> None:
    told = {
        "url": server.url,
        "urls": dict(server.urls),
        "token": server.serving.token,
        "environment": {sdk: dict(v) for sdk, v in server.environment().items()},
        "notes": dict(server.notes()),
        "seed": server.serving.seed,
        "devices": [d.name for d in server.serving.devices],
    }
    _write_environment(server, env_file)
    emit(json.dumps(told))
    sys.stdout.flush()


def _exports(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _comments(server: Standalone) -> list[str]:
    """What no variable does."""
    return [f"# {told}" for told in server.notes().values()]


def _write_environment(server: Standalone, env_file: Path | None) -> None:
    if env_file is not None:
        lines = [line for variables in server.environment().values() for line in _exports(variables)]
        env_file.write_text("\n".join([*dict.fromkeys(lines), *_comments(server)]) + "\n")


def _line(answered: Answered) -> None:
    status = str(answered.status) if answered.status else "---"
    struck = f"  <- {', '.join(answered.faults)}" if answered.faults else ""
    with suppress(BrokenPipeError):  # nobody reads the lines any more; whoever sends requests must not suffer for it
        note(f"{status} {answered.took_ms:8.1f} ms  {answered.protocol} {answered.method} {answered.path}{struck}")


# ------------------------------------------------------------ devices


@backend.command("devices")
@format_option("text", "json")
def devices(format_: str) -> int:
    """List the devices that are shipped, and at which vendor."""
    from harness.backend.fleet import FLEET

    if format_ == "json":
        emit(json.dumps([_in_short(d) for d in FLEET], indent=2))
        return 0
    width = max(len(d.name) for d in FLEET)
    for device in FLEET:
        emit(f"{device.name:{width}}  {device.qubits:4d} qubits  {device.region:11}  {', '.join(device.families)}")
    return 0


@backend.command("characterize")
@click.argument("device", metavar="NAME|FILE")
@click.option("--protocol", default=None, help="In this vendor's shape; none: the first that lists it.")
def characterize(device: str, protocol: str | None) -> int:
    """Print as JSON what a device publishes of itself.

    It is what runs are executed with. serve --device reads such a file.
    """
    from harness.backend.publishing import characterize as published

    found = _device(device)
    if protocol is not None and protocol not in found.families:
        raise UsageProblem(f"{protocol} does not list {found.name}; {', '.join(found.families)} does")
    family = next((f for f in found.families if f == protocol), None)
    emit(json.dumps(published(found, family=family), indent=2))
    return 0


def _in_short(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "model": device.model,
        "qubits": device.qubits,
        "region": device.region,
        "simulator": device.simulator,
        "families": list(device.families),
        "max_shots": device.max_shots,
    }


def _chosen(wanted: tuple[str, ...], protocols: tuple[str, ...]) -> tuple[Device, ...]:
    """The devices that are named, else those that the protocols' vendors list."""
    from harness.backend.fleet import FLEET

    if not wanted:
        return tuple(d for d in FLEET if {*d.families} & {*protocols})
    return tuple(_device(name) for name in wanted)


def _check_devices(devices: tuple[Device, ...], protocols: tuple[str, ...]) -> None:
    """A protocol that is asked for by name must have something to list; raises UsageProblem."""
    from harness.backend.fleet import FLEET

    for protocol in protocols:
        if not any(protocol in d.families for d in devices):
            given = ", ".join(f"{d.name} ({', '.join(d.families)})" for d in devices)
            own = [d.name for d in FLEET if protocol in d.families]
            raise UsageProblem(f"{protocol} lists none of the devices given: {given}; add one of {', '.join(own)}")
    for device in devices:
        if protocols and not {*device.families} & {*protocols}:
            note(f"warning: {device.name} is listed by {', '.join(device.families)} only, which is not served")


def _device(name: str) -> Device:
    from harness.backend.device_files import device_from_file
    from harness.backend.fleet import FLEET

    for device in FLEET:
        if device.name == name:
            return device
    if "/" in name or name.endswith(".json") or Path(name).exists():
        return device_from_file(name)
    raise UsageProblem(unknown(name, "device", (d.name for d in FLEET)))


def _keys(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, _, tenant = text.partition("=")
        if not key:
            raise UsageProblem(f"--key {text!r} has no key; write KEY or KEY=TENANT, for instance --key secret=physics")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UsageProblem(f"--key {text!r} can't be sent in a header; a key has visible ASCII characters only")
        if key in found:
            raise UsageProblem(f"--key {key!r} is given twice; a key is of one tenant")
        found[key] = tenant
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
