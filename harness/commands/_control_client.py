"""Servers that run on this machine, and how to talk to them: each leaves a file that only its user can read."""

from __future__ import annotations

import ipaddress
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from harness.errors import UsageProblem

_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """A server as its file tells of it."""

    url: str
    token: str
    pid: int

    @property
    def file(self) -> Path:
        """Where it is written down."""
        return folder() / f"{urlsplit(self.url).port}.json"

    def write(self) -> None:
        """Leave word, readable by this user alone."""
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        self.file.unlink(missing_ok=True)
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(asdict(self), out)

    def remove(self) -> None:
        """It is over."""
        self.file.unlink(missing_ok=True)


def folder() -> Path:
    """Where servers are written down."""
    base = os.environ.get("XDG_STATE_HOME") or _home_state()
    return Path(base) / "qharness" / "servers"


def _home_state() -> str:
    home = os.path.expanduser("~")
    if os.access(home, os.W_OK):
        return os.path.join(home, ".local", "state")
    return os.path.join(tempfile.gettempdir(), f"qharness-{os.getuid()}")


def running() -> tuple[Known, ...]:
    """The servers of this user that are alive; files of dead ones are removed."""
    found = []
    for file in sorted(folder().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            known = Known(**json.loads(file.read_text()))
            if _is_alive(known.pid):
                found.append(known)
            else:
                known.remove()
    return tuple(found)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def find(url: str | None, token: str | None) -> ControlClient:
    """The server of a URL, or the only one that runs here; raises UsageProblem if that isn't clear."""
    servers = running()
    if url is not None:
        return _named(url, token, servers)
    if len(servers) == 1:
        return ControlClient(servers[0].url, token or servers[0].token)
    many = ", ".join(s.url for s in servers)
    raise UsageProblem(
        f"several servers run here; name one with --server: {many}"
        if servers
        else "no server runs here; start one with: qharness backend serve"
    )


def _named(url: str, token: str | None, servers: tuple[Known, ...]) -> ControlClient:
    base, place = _base(url), _place(url)
    # the very same address first: two servers may share a port, on different addresses
    same = [s for s in servers if s.url == base] or [s for s in servers if _place(s.url) == place]
    if same:
        return ControlClient(same[0].url, token or same[0].token)
    client = ControlClient(base, token or "")
    client.check()
    if token is None:
        raise UsageProblem(f"{base} was not started by you on this machine; give its token with --token")
    return client


def _base(url: str) -> str:
    if _place(url) is None or urlsplit(url).scheme not in ("http", "https"):
        raise UsageProblem(f"{url!r} is no URL of a server; write for instance http://127.0.0.1:8700")
    return f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"


def _place(url: str) -> tuple[str, int] | None:
    """Host and port, all names of this machine being one; None if the URL is none."""
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        return None
    if not host:
        return None
    return "localhost" if _is_here(host) else host, port or (443 if url.startswith("https") else 80)


def _is_here(host: str) -> bool:
    """Whether a server under this name is reached over loopback; one that listens everywhere is, too."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Our servers send nobody elsewhere, and a token must not go there."""

    def redirect_request(self, *_: Any) -> None:
        """None: the redirect is an error."""
        return


class ControlClient:
    """The control API of one server. Its methods raise UsageProblem with the server's own words."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._token = url, token
        # a proxy that is set for the outside has no business between us and a server on this machine
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)

    def add_fault(self, fault: str, /, *, lease_ms: int = 0, **params: Any) -> str:
        """Put a fault in force; returns its id."""
        return str(self.add(fault, params, lease_ms)["id"])

    def add(self, fault: str, params: Mapping[str, Any], lease_ms: int = 0) -> Mapping[str, Any]:
        """Put a fault in force; returns it as the server shows it."""
        body = {"fault": fault, "params": dict(params), **({"for_ms": lease_ms} if lease_ms else {})}
        found: Mapping[str, Any] = self.call("POST", "faults", body)
        return found

    def check(self) -> None:
        """Raise UsageProblem if no server of ours answers there."""
        if self.call("GET", "health").get("status") != "up":
            raise self._stranger()

    def board(self) -> Mapping[str, Any]:
        """``faults``: those not healed, ``healed``: the last ones that are."""
        found: Mapping[str, Any] = self.call("GET", "faults")
        return found

    def faults(self) -> list[Mapping[str, Any]]:
        """The faults that are not healed."""
        return list(self._read("faults", "faults"))

    def remove(self, fault_id: str) -> Mapping[str, Any]:
        """Heal one fault; returns it."""
        found: Mapping[str, Any] = self.call("DELETE", f"faults/{quote(fault_id, safe='')}")
        return found

    def clear(self) -> list[Mapping[str, Any]]:
        """Heal all faults; returns them."""
        return list(self._read("faults", "healed", "DELETE"))

    def runs(self, limit: int = 1000) -> list[Mapping[str, Any]]:
        """What really ran, in order of acceptance."""
        return list(self._read(f"runs?limit={limit}", "runs"))

    def devices(self) -> list[Mapping[str, Any]]:
        """The devices as they are."""
        return list(self._read("devices", "devices"))

    def change_device(self, name: str, change: str) -> Mapping[str, Any]:
        """Take a device off, or back."""
        found: Mapping[str, Any] = self.call("POST", f"devices/{quote(name, safe='')}/{change}", {})
        return found

    def recalibrate(self, name: str, factor: float) -> Mapping[str, Any]:
        """Measure a device anew, worse by a factor."""
        found: Mapping[str, Any] = self.call("POST", f"devices/{quote(name, safe='')}/recalibrate", {"factor": factor})
        return found

    def plant_canary(self, nonce: str, qubits: int = 6) -> Mapping[str, Any]:
        """A circuit that only this server answers so."""
        found: Mapping[str, Any] = self.call("POST", "canaries", {"nonce": nonce, "qubits": qubits})
        return found

    def _read(self, path: str, key: str, method: str = "GET") -> Any:
        found = self.call(method, path)
        if key not in found:
            raise self._stranger()
        return found[key]

    def call(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """One request; the answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/qharness/{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return self._understood(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise UsageProblem(str(self._understood(error.read(), "error")["error"])) from None
        except (HTTPException, UnicodeError):
            raise self._stranger() from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            told = getattr(reason, "strerror", None) or reason
            raise UsageProblem(f"no server answers at {self.url}: {told}") from None

    def _understood(self, raw: bytes, key: str = "") -> Mapping[str, Any]:
        try:
            found = json.loads(raw)
        except ValueError:
            raise self._stranger() from None
        if not isinstance(found, dict) or (key and not isinstance(found.get(key), str)):
            raise self._stranger()
        return found

    def _stranger(self) -> UsageProblem:
        return UsageProblem(f"the server at {self.url} is none of qharness: it has no control API")
