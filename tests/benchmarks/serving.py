"""The served backend: jobs a second through the whole HTTP path, what faults cost, how exact latency is, memory.

python -m tests.benchmarks serving [--seconds 5] [--only jobs|faults|latency|memory]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.clock import LoopClock
from harness.injection import Call, Injector
from harness.providers.ionq import IonQ
from harness.recording import Recorder
from harness.south import South
from harness.tellings import Admission, RunView
from harness.wire import Reply, Request
from tests.clients.server import Served, served

#: clients at a time, each with a connection of its own, and how often they poll
CLIENTS, POLL_S = 4, 0.002
SHOTS = 1000
MEMORY_JOBS = 100_000
QUICK = {"queue_ms": 0, "setup_ms": 0, "shot_us": 0, "quiet": True}


@dataclass(frozen=True)
class Connection:
    """The cheapest HTTP client there is, so that the server is measured and not its client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    host: str

    @classmethod
    async def open(cls, url: str) -> Connection:
        host = url.removeprefix("http://")
        name, port = host.split(":")
        return cls(*await asyncio.open_connection(name, int(port)), host)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: apiKey k\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        start = answer.index(b"content-length: ") + 16
        size = int(answer[start : answer.index(b"\r", start)])
        return int(answer[9:12]), await self.reader.readexactly(size)

    async def job(self, payload: bytes) -> None:
        """Submit, poll until it has ended, fetch the result."""
        status, body = await self.ask("POST", "/v0.4/jobs", payload)
        assert status == 201, body
        path = f"/v0.4/jobs/{json.loads(body)['id']}"
        await asyncio.sleep(POLL_S)
        while b'"status":"completed"' not in (await self.ask("GET", path))[1]:  # noqa: ASYNC110 - a client polls
            await asyncio.sleep(POLL_S)
        status, _ = await self.ask("GET", f"{path}/results/probabilities")
        assert status == 200


def angle(qubit: int, index: int) -> float:
    """Of the last layer's rotation in the circuit of that index."""
    return 0.1 * (qubit + 1) + 0.01 * index


def gates(qubits: int, index: int = 0) -> list[dict[str, Any]]:
    """A GHZ state and a layer of rotations: entangling, and no outcome is impossible."""
    found: list[dict[str, Any]] = [{"gate": "h", "target": 0}]
    found += [{"gate": "cnot", "control": q, "target": q + 1} for q in range(qubits - 1)]
    return found + [{"gate": "ry", "target": q, "rotation": angle(q, index)} for q in range(qubits)]


def payload(device: str, qubits: int, circuits: int = 1) -> bytes:
    """A job of one circuit or several."""
    job: dict[str, Any] = {"backend": device, "shots": SHOTS, "type": "ionq.circuit.v1"}
    job["input"] = {"gateset": "qis", "qubits": qubits, "circuit": gates(qubits)}
    if circuits > 1:
        job["type"] = "ionq.multi-circuit.v1"
        listed = [{"circuit": gates(qubits, k)} for k in range(circuits)]
        job["input"] = {"gateset": "qis", "qubits": qubits, "circuits": listed}
    return json.dumps(job).encode()


async def repeat(url: str, act: Callable[[Connection], Awaitable[None]], seconds: float, clients: int) -> float:
    """Times a second, over so many connections at once."""
    done = 0

    async def one() -> None:
        nonlocal done
        connection = await Connection.open(url)
        while time.perf_counter() < end:
            await act(connection)
            done += 1
        connection.writer.close()

    warm = await Connection.open(url)
    await act(warm)
    warm.writer.close()
    started = time.perf_counter()
    end = started + seconds
    await asyncio.gather(*(one() for _ in range(clients)))
    return done / (time.perf_counter() - started)


# ---------------------------------------------------------------- jobs a second


@dataclass(frozen=True)
class Workload:
    """The same job again and again."""

    label: str
    device: str
    qubits: int
    circuits: int = 1

    @property
    def payload(self) -> bytes:
        """As IonQ takes it; the circuits of a batch differ by an angle."""
        return payload(self.device, self.qubits, self.circuits)


WORKLOADS = (
    Workload("ideal 2 qubits", "simulator", 2),
    Workload("noisy 4 qubits", "qpu.aria-1", 4),
    Workload("noisy 6 qubits", "qpu.aria-1", 6),
    Workload("noisy 8 qubits", "qpu.aria-1", 8),
    Workload("noisy 4 qubits", "qpu.aria-1", 4, circuits=20),
    Workload("noisy 6 qubits", "qpu.aria-1", 6, circuits=20),
)


def aer_run(work: Workload) -> Callable[[int], object]:
    """AerSimulator.run on the same circuits, in the gates and with the noise model that the backend itself uses.

    Circuits, model and simulator are made once and the simulator chooses its method, so only the run is counted.
    """
    from qiskit_aer import AerSimulator

    from harness.backend.aer import building, noise
    from harness.backend.circuit import Circuit, Gate
    from harness.backend.devices import DEVICES

    device = next(d for d in DEVICES if d.name == work.device)
    calibration = device.noise.calibration(work.qubits) if device.noise else None
    made = []
    for index in range(work.circuits):
        gates = (Gate("h", (0,)), *(Gate("x", (q + 1,), controls=(q,)) for q in range(work.qubits - 1)))
        turns = tuple(Gate("ry", (q,), angle_rad=angle(q, index)) for q in range(work.qubits))
        native = calibration.native if calibration else ("h", "cx", "ry")
        made.append(building.lowered(Circuit(work.qubits, gates + turns), native))
        made[-1].measure_all()
    model = None if calibration is None else noise.model(calibration, noise.pairs_of(made[0]), True)
    simulator = AerSimulator(noise_model=model)

    def run(seed: int) -> object:
        result = simulator.run(made, shots=SHOTS, seed_simulator=seed).result()
        return [result.get_counts(k) for k in range(work.circuits)]

    return run


def per_second(act: Callable[[int], object], seconds: float) -> tuple[float, float]:
    """Times a second, by the clock and by this process's processor time."""
    act(0)
    count, started, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        count += 1
        act(count)
    return count / (time.perf_counter() - started), count / (time.process_time() - spent)


def jobs(seconds: float) -> None:
    """Both in one run, one after the other. A busy machine disturbs processor time less than the clock."""
    print(f"jobs a second (and a second of the server's processor time): submit, poll, fetch; {CLIENTS} connections;")
    print(f"the same circuits again, {SHOTS} shots; against AerSimulator.run of the same circuits and noise")
    with served("ionq", **QUICK) as server:
        for work in WORKLOADS:
            body = work.payload
            before, started = _processor_s(server.pid), time.perf_counter()
            here = asyncio.run(repeat(server.url, lambda c, b=body: c.job(b), seconds, CLIENTS))  # type: ignore[misc]
            whole = time.perf_counter() - started
            busy = here * whole / (_processor_s(server.pid) - before)
            aer, aer_busy = per_second(aer_run(work), seconds)
            label = f"{work.label} × {work.circuits:2d}"
            print(
                f"  {label:20} {here:6.0f} ({busy:6.0f})   Aer {aer:6.1f} ({aer_busy:6.1f})   "
                f"{here / aer:5.1f} times ({busy / aer_busy:5.1f})"
            )


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------- what faults cost


class Unfaulted(IonQ):
    """The same protocol without any fault chain: no call is made, the honest value is taken."""

    async def admit(self, request: Request, operation: str) -> Admission:
        return self.keys.admit(self.credential(request))

    async def look(self, run: Run, operation: str, request: Request) -> RunView:
        return self.backend.look(run)


async def chain_us(count: int = 5_000, rounds: int = 9) -> tuple[float, float]:
    """One status request in process, through the chains of its three layers (http, identity, view) and without any.

    Microseconds with and without, medians over rounds in turn. What is made only for the chains (calls, closures, the
    error in the protocol's words) counts as theirs.
    """
    clock = LoopClock(asyncio.get_running_loop())
    recorder = Recorder(clock)
    injector = Injector((), clock, recorder, 1)
    south = South(clock=clock, recorder=recorder, injector=injector, seed=1)
    backend = Backend(clock, recorder, injector, 1)
    with_chain, without = IonQ.over(backend, south, {}), Unfaulted.over(backend, south, {})
    headers = {"authorization": "apiKey k"}
    job = await with_chain.handle(Request("POST", "/v0.4/jobs", headers=headers, body=payload("simulator", 2)))
    request = Request("GET", f"/v0.4/jobs/{json.loads(job.body)['id']}", headers=headers)

    async def through() -> Reply:
        site = with_chain.site(request)
        error = with_chain.error_to(request)
        call = Call("http", with_chain.service, site.operation, request, site.run, site.metadata, error=error)
        reply: Reply = await injector.run(call, lambda c: with_chain.handle(c.request))
        return reply

    async def bare() -> Reply:
        without.site(request)  # a world asks for it in any case, to record what was asked
        return await without.handle(request)

    async def timed(act: Callable[[], Awaitable[Reply]]) -> float:
        started = time.perf_counter()
        for _ in range(count):
            await act()
        return (time.perf_counter() - started) / count * 1e6

    assert (await through()).body == (await bare()).body
    pairs = [(await timed(through), await timed(bare)) for _ in range(rounds)]
    await backend.aclose()
    return statistics.median(p for p, _ in pairs), statistics.median(p for _, p in pairs)


def faults(seconds: float) -> None:
    """An empty chain's cost as a share of one request: in process, and over a socket."""
    with served("ionq", **QUICK) as server:
        job = json.loads(asyncio.run(_submitted(server)))["id"]

        async def poll(connection: Connection) -> None:
            await connection.ask("GET", f"/v0.4/jobs/{job}")

        rate = asyncio.run(repeat(server.url, poll, seconds, 1))
    through, bare = asyncio.run(chain_us())
    cost, whole = through - bare, 1e6 / rate
    print(
        f"empty fault chains of three layers: {cost:.1f} µs, {100 * cost / bare:.0f} % of the {bare:.0f} µs that a "
        f"status request takes in process without them, {100 * cost / whole:.1f} % of {whole:.0f} µs over a socket"
    )


async def _submitted(server: Served) -> bytes:
    connection = await Connection.open(server.url)
    try:
        return (await connection.ask("POST", "/v0.4/jobs", payload("simulator", 2)))[1]
    finally:
        connection.writer.close()


# ---------------------------------------------------------------- accuracy of latency


async def _answer_times(url: str, count: int, pause_ms: float = 0) -> list[tuple[float, float]]:
    """Of each request: how long it took; and how long a sleep of ``pause_ms`` beside it took, in milliseconds."""
    connection = await Connection.open(url)
    found = []
    for _ in range(count):
        started = time.perf_counter()
        await connection.ask("GET", "/v0.4/backends/simulator")
        answered = time.perf_counter()
        await asyncio.sleep(pause_ms / 1e3)
        found.append(((answered - started) * 1e3, (time.perf_counter() - answered) * 1e3))
    connection.writer.close()
    return found


def latency(seconds: float) -> None:
    """How much longer an answer took than an undisturbed one, against what was asked for; one request at a time.

    A machine that is busy wakes everybody late: the same for a plain sleep of this process stands beside it.
    """
    print("error of injected latency (p50, p99 in ms), and of a plain sleep beside it")
    with served("ionq", **QUICK) as server:
        base = statistics.median(t for t, _ in asyncio.run(_answer_times(server.url, 300)))
        for ms in (1, 5, 10, 50, 100):
            server.control.clear()
            server.control.add_fault("latency", ms=ms, times=0)
            times = asyncio.run(_answer_times(server.url, max(100, round(seconds * 100 / ms)), ms))
            injected = _quantiles([abs(t - base - ms) for t, _ in times])
            own = _quantiles([abs(t - ms) for _, t in times])
            print(f"  {ms:3d} ms: {injected}   sleep {own}   ({len(times)} requests)")


def _quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:5.2f} {ordered[len(ordered) * 99 // 100]:5.2f}"


# ---------------------------------------------------------------- memory


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory(jobs: int = MEMORY_JOBS) -> None:
    """Resident memory over so many jobs, in tenths."""
    body = payload("qpu.aria-1", 4)

    async def some(url: str, count: int) -> None:
        async def one() -> None:
            connection = await Connection.open(url)
            for _ in range(count // CLIENTS):
                await connection.job(body)
            connection.writer.close()

        await asyncio.gather(*(one() for _ in range(CLIENTS)))

    with served("ionq", **QUICK) as server:
        started = time.perf_counter()
        for tenth in range(11):
            if tenth:
                asyncio.run(some(server.url, jobs // 10))
            print(f"  after {tenth * jobs // 10:7d} jobs: {_resident_mb(server.pid):6.1f} MB", flush=True)
        print(f"  {jobs / (time.perf_counter() - started):.0f} jobs/s")


PARTS: Mapping[str, Callable[[float], None]] = {"jobs": jobs, "faults": faults, "latency": latency}


def main(seconds: float, only: str = "") -> None:
    """All parts but memory, which takes minutes and is asked for by name."""
    if only == "memory":
        memory()
        return
    for name, part in PARTS.items():
        if not only or only == name:
            part(seconds)
