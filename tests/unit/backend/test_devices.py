"""Devices: those that are shipped, and how long they let a run wait."""

from __future__ import annotations

import random
import statistics

import pytest

from harness.backend import layouts
from harness.backend.devices import DEVICES, NOISE_MODELS, Device, QueueTime
from harness.backend.fleet import FLEET, listed
from harness.errors import UsageProblem
from harness.seed import stream

NOISY = [d for d in FLEET if d.calibration is not None]


def test_names_are_unique_and_every_vendor_lists_some() -> None:
    """An ideal and a noisy one, except IBM, which has no simulators any more."""
    assert len({d.name for d in FLEET}) == len(FLEET)
    for family in ("ionq", "braket", "oqtopus"):
        assert {d.simulator for d in listed(family)} == {True, False}  # type: ignore[arg-type]
    assert {d.simulator for d in listed("ibm")} == {False}


def test_ionqs_figures_are_kept() -> None:
    """Histories of earlier plays rely on them."""
    assert [d.name for d in DEVICES] == ["simulator", "qpu.forte-1", "qpu.aria-1"]
    assert DEVICES[1].noise == NOISE_MODELS["forte-1"]
    assert DEVICES[2].noise == NOISE_MODELS["aria-1"]


@pytest.mark.parametrize("device", NOISY, ids=lambda d: d.name)
def test_values_are_physical(device: Device) -> None:
    """T2 ≤ 2 T1, errors are probabilities, one value a qubit and a coupled pair."""
    calibration = device.calibration
    assert calibration is not None
    assert len(calibration.qubits) == device.qubits
    assert all(q.t2_us <= 2 * q.t1_us for q in calibration.qubits)
    assert all(0 <= p < 0.25 for q in calibration.qubits for p in (q.p01, q.p10, q.error_1q))
    if device.coupling is not None:
        assert tuple(p for p, _ in calibration.pairs) == device.coupling
        assert all(0 < e < 0.1 for _, e in calibration.pairs)


def test_values_are_pinned() -> None:
    """They come from the device's name alone; a change is a change of every history on it."""
    digests = {d.name: d.calibration.digest[:8] for d in NOISY if d.calibration}
    assert len(set(digests.values())) == len(digests)
    assert digests["ibm_thule"] == "e2e43be9"


@pytest.mark.parametrize(
    ("layout", "qubits", "edges"),
    [
        (layouts.falcon(), 27, 28),
        (layouts.eagle(), 127, 144),
        (layouts.heron_r1(), 133, 150),
        (layouts.heron_r2(), 156, 176),
        (layouts.grid(4, 5), 20, 31),
    ],
)
def test_layouts(layout: layouts.Pairs, qubits: int, edges: int) -> None:
    """As many qubits and couplings as the machines have; all are reachable; on heavy hexagons none has more than 3."""
    assert len(layout) == edges == len(set(layout))
    assert all(a < b for a, b in layout)
    degree = [sum(q in pair for pair in layout) for q in range(qubits)]
    assert min(degree) >= 1
    assert max(degree) <= (4 if qubits == 20 else 3)
    reached = {0}
    while more := {q for pair in layout if {*pair} & reached for q in pair} - reached:
        reached |= more
    assert reached == set(range(qubits))


@pytest.mark.parametrize(
    ("queue", "middle", "low", "high"),
    [
        (QueueTime(a_ms=300), 300, 300, 300),
        (QueueTime(kind="uniform", a_ms=100, b_ms=300), 200, 100, 300),
        (QueueTime(kind="normal", a_ms=1000, b_ms=100), 1000, 0, 2000),
        (QueueTime(kind="lognormal", a_ms=500, shape=1.0, most_ms=50_000), 500, 0, 50_000),
        (QueueTime(kind="pareto", a_ms=200, shape=2.0), 200 * 2**0.5, 200, 10**9),
        (QueueTime(kind="empirical", values_ms=(10, 20, 30)), 20, 10, 30),
    ],
    ids=lambda q: getattr(q, "kind", None),
)
def test_queue_times_are_distributed_as_they_say(queue: QueueTime, middle: float, low: int, high: int) -> None:
    """The median of 4000, and the bounds."""
    rng = random.Random(5)
    drawn = [queue.sample_ms(rng) for _ in range(4000)]
    assert statistics.median(drawn) == pytest.approx(middle, rel=0.08)
    assert low <= min(drawn) <= max(drawn) <= high


def test_a_waiting_time_depends_on_seed_device_and_run_only() -> None:
    """Another run, another seed, another device: another time. Without a distribution: the device's own."""
    device = Device(name="d", region="r", qubits=1, queue_ms=7, queue=QueueTime(kind="lognormal", a_ms=1e6))
    assert device.wait_ms(1, 3) == device.wait_ms(1, 3) == device.queue.sample_ms(stream(1, "queue", "d", 3))  # type: ignore[union-attr]
    assert len({device.wait_ms(seed, run) for seed in (1, 2) for run in range(5)}) == 10
    assert Device(name="d", region="r", qubits=1, queue_ms=7).wait_ms(1, 3) == 7


@pytest.mark.parametrize(
    ("text", "queue"),
    [
        ("fixed:300", QueueTime(a_ms=300)),
        ("uniform:100,300", QueueTime(kind="uniform", a_ms=100, b_ms=300)),
        ("lognormal:2000,0.8", QueueTime(kind="lognormal", a_ms=2000, shape=0.8)),
        ("empirical:1,2,3", QueueTime(kind="empirical", values_ms=(1, 2, 3))),
    ],
)
def test_a_queue_time_can_be_written(text: str, queue: QueueTime) -> None:
    assert QueueTime.of(text) == queue


@pytest.mark.parametrize("text", ["", "fixed", "fixed:", "fixed:x", "fixed:1,2", "lognormal:5", "slow:1", "fixed:-1"])
def test_what_is_no_queue_time_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="is no queue time; write fixed:A"):
        QueueTime.of(text)
