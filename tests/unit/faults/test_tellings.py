"""What faults make of values that a backend tells: of a run, of results, of devices and of callers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.calibration import Calibration
from harness.clock import NS_PER_MS
from harness.injection import Call, Layer
from harness.model import FaultUse
from harness.tellings import Admission, DeviceView, Readout, Results, RunView
from tests.unit.backend.scene import Scene, play

NOW_MS = 10_000
RUNNING = RunView(id="r", device="d", state="started", submitted_ns=1, started_ns=2, shots=10, metadata={"job": "j"})
QUEUED = replace(RUNNING, state="submitted", started_ns=None, position=3, wait_ms=500)
DONE = replace(RUNNING, state="completed", ended_ns=3, has_results=True, cost_s=2.0, executed_shots=10)
FAILED = replace(RUNNING, state="failed", ended_ns=3, reason="Quota", message="no quota left")
TALL = Readout(bits=3, shots=1000, weights={0b001: 0.754, 0b101: 0.246}, seed=7)
RESULTS = Results(run="r", readouts=(TALL,), metadata={"job": "j"})
DEVICE = DeviceView(name="d", qubits=5, region="here", firmware="1", max_shots=1000, calibrated_ns=5)
NOISY = Calibration.uniform(2, error_1q=0.001, error_2q=0.01, readout_error=0.02, t1_us=100.0, t2_us=80.0)


def told(layer: Layer, operation: str, value: Any, fault: str, times: int = 1, **params: Any) -> Any:
    """What a fault makes of a value; the last of several if ``times`` says so."""

    async def act(scene: Scene) -> Any:
        await scene.clock.sleep_ms(NOW_MS)
        return (await several(scene, layer, operation, [value] * times))[-1]

    return play(act, [FaultUse(fault=fault, params={"times": 0, **params})])


async def several(scene: Scene, layer: Layer, operation: str, values: list[Any]) -> list[Any]:
    """Each value through the faults in force."""
    found = []
    for value in values:

        async def proceed(_: Call, value: Any = value) -> Any:
            return value

        shown = {"caller": getattr(value, "tenant", "")}
        call = Call(layer, "backend", operation, run="r", metadata=shown, state=getattr(value, "state", ""))
        found.append(await scene.injector.run(call, proceed))
    return found


def view(value: RunView, fault: str, **params: Any) -> RunView:
    """A run as it is told under a fault."""
    found: RunView = told("view", "status", value, fault, **params)
    return found


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("true", [QUEUED, RUNNING, DONE, FAILED], ids=lambda v: v.state)
@pytest.mark.parametrize("state", ["started", "submitted", "completed", "canceled", "on_hold", ""])
def test_a_state_is_told_with_the_times_that_go_with_it(true: RunView, state: str) -> None:
    """No end before an end, no start of what is queued, no results of what is not completed."""
    found = view(true, "state_told", told=state)
    assert found.state == state
    assert (found.ended_ns is not None) == (state in ("completed", "canceled"))
    assert (found.started_ns is None) == (state == "submitted")
    assert not found.has_results or state == "completed"
    assert (found.reason, found.message) == ("", "")


@pytest.mark.parametrize(
    ("during", "struck"),
    [
        ("queued", ["submitted"]),
        ("running", ["started"]),
        ("alive", ["submitted", "started"]),
        ("ended", ["completed", "failed"]),
        ("any", ["submitted", "started", "completed", "failed"]),
    ],
)
def test_a_state_is_told_while_the_run_is_in_some(during: str, struck: list[str]) -> None:
    lied = [v.state for v in (QUEUED, RUNNING, DONE, FAILED) if view(v, "state_told", told="x", during=during) != v]
    assert lied == struck


def test_a_failure_is_told_with_a_reason() -> None:
    found = view(DONE, "state_told", told="failed", reason="Nobody knows")
    assert (found.state, found.reason, found.has_results) == ("failed", "Nobody knows", False)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("times", {"submitted_ns", "started_ns", "ended_ns"}),
        ("metadata", {"metadata"}),
        ("reason", {"reason", "message"}),
        ("state", {"state"}),
    ],
)
def test_fields_are_lost_one_at_a_time(what: str, changed: set[str]) -> None:
    found = view(FAILED, "field_lost", what=what)
    differing = {k for k in vars(FAILED) if getattr(found, k) != getattr(FAILED, k)}
    assert differing == changed


def test_metadata_is_lost_from_results_as_well() -> None:
    assert told("result", "result", RESULTS, "field_lost", what="metadata") == replace(RESULTS, metadata={})
    assert told("result", "result", RESULTS, "field_lost", what="times") == RESULTS


def test_results_and_places_are_lost() -> None:
    assert not view(DONE, "field_lost", what="results").has_results
    assert view(QUEUED, "field_lost", what="position").position is None


@pytest.mark.parametrize(("way", "length"), [("empty", 0), ("unknown", 36)])
def test_an_id_is_lost_at_submission_only(way: str, length: int) -> None:
    found = told("view", "submit", QUEUED, "id_lost", way=way)
    assert len(found.id) == length
    assert replace(found, id="r") == QUEUED
    assert view(QUEUED, "id_lost", way=way) == QUEUED


def test_runs_are_unlisted_until_they_end() -> None:
    assert not told("view", "list", RUNNING, "job_unlisted").listed
    assert not told("view", "list", DONE, "job_unlisted").listed
    assert told("view", "list", DONE, "job_unlisted", only_alive=True).listed
    assert view(RUNNING, "job_unlisted").listed


def test_places_in_the_queue() -> None:
    """Up by one a minute; far; now; none for a run that has started."""
    assert view(QUEUED, "queue_told", way="far").position == 9999
    assert view(QUEUED, "queue_told", way="now").position == 0
    assert view(RUNNING, "queue_told") == RUNNING

    async def act(scene: Scene) -> list[int | None]:
        found = []
        for _ in range(3):
            found += await several(scene, "view", "status", [QUEUED])
            await scene.clock.sleep_ms(60_000)
        return [v.position for v in found]

    assert play(act, [FaultUse(fault="queue_told")]) == [4, 4, 5]


@pytest.mark.parametrize(("factor", "shots_too", "cost_s", "shots"), [(0.0, False, 0, 10), (2.0, True, 4, 20)])
def test_costs(factor: float, shots_too: bool, cost_s: float, shots: int) -> None:
    found = view(DONE, "cost_told", factor=factor, shots_too=shots_too)
    assert (found.cost_s, found.executed_shots) == (cost_s, shots)


# ---------------------------------------------------------------- results


def weights(fault: str, readout: Readout = TALL, **params: Any) -> dict[int, float]:
    """Of one circuit under a fault."""
    (found,) = told("result", "result", replace(RESULTS, readouts=(readout,)), fault, **params).readouts
    return dict(found.weights)


def test_invalid_results() -> None:
    assert sum(weights("invalid_result", way="sum").values()) == pytest.approx(0.5)
    negative = weights("invalid_result", way="negative")
    assert min(negative.values()) == -0.5
    assert sum(negative.values()) == pytest.approx(1)
    assert all(k >= 1 << 26 for k in weights("invalid_result", way="wide"))
    assert math.isnan(weights("invalid_result", way="nan")[1])
    assert weights("invalid_result", way="empty") == {}


def test_an_error_frame_is_not_a_matter_of_values() -> None:
    assert weights("invalid_result", way="error") == TALL.weights


def test_wrong_results() -> None:
    assert weights("wrong_result", way="reversed") == {0b100: 0.754, 0b101: 0.246}
    assert weights("wrong_result", way="rounded") == {0b001: 0.75, 0b101: 0.24}
    assert weights("wrong_result", way="overwritten") == {0b01: 0.246}
    assert set(weights("wrong_result", way="uniform").values()) == {1 / 8}
    assert len(weights("wrong_result", way="uniform")) == 8


def test_a_width_that_varies() -> None:
    low = replace(RESULTS, readouts=(replace(TALL, weights={1: 1.0}), TALL))
    assert [r.bits for r in told("result", "result", low, "wrong_result", way="narrow").readouts] == [1, 3]


@pytest.mark.parametrize("way", ["resampled", "shots"])
def test_other_draws_are_of_the_same_outcomes(way: str) -> None:
    """And each fetch differs."""

    async def act(scene: Scene) -> list[Results]:
        return await several(scene, "result", "result", [RESULTS] * 2)

    first, second = play(act, [FaultUse(fault="wrong_result", params={"way": way, "times": 0})])
    assert first != second
    for (readout,) in (first.readouts, second.readouts):
        assert readout.shots == (1000 if way == "resampled" else 1024)
        assert set(readout.weights) <= set(TALL.weights)
        assert sum(readout.weights.values()) == pytest.approx(1)
        assert sum(readout.counts().values()) == readout.shots


def test_another_runs_result() -> None:
    """The one that was told before; the first reads as if nothing had been done."""
    other = Results(run="other", readouts=(replace(TALL, weights={2: 1.0}),))

    async def act(scene: Scene) -> list[Results]:
        return await several(scene, "result", "result", [other, RESULTS])

    first, second = play(act, [FaultUse(fault="wrong_result", params={"way": "foreign", "times": 0})])
    assert (first.run, dict(first.readouts[0].weights)) == ("other", {0: 1.0})
    assert (second.run, dict(second.readouts[0].weights)) == ("r", {2: 1.0})


def test_only_batches() -> None:
    batch = replace(RESULTS, readouts=(TALL, TALL))
    params = {"way": "reversed", "only_batches": True}
    assert told("result", "result", RESULTS, "wrong_result", **params) == RESULTS
    assert told("result", "result", batch, "wrong_result", **params) != batch


@pytest.mark.parametrize(("which", "failed"), [("last", [2]), ("first", [0]), ("second", [1])])
def test_partial_batches(which: str, failed: list[int]) -> None:
    found = told("result", "result", replace(RESULTS, readouts=(TALL,) * 3), "partial_batch", which=which).readouts
    assert [i for i, r in enumerate(found) if r.failed] == failed
    assert all(r == TALL for r in found if not r.failed)
    assert all(not r.weights for r in found if r.failed)


@given(
    st.integers(1, 6).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            st.dictionaries(st.integers(0, 2**bits - 1), st.floats(1e-6, 1), min_size=1),
        )
    ),
    st.sampled_from(["reversed", "shots", "rounded", "resampled", "overwritten", "narrow", "uniform", "foreign"]),
)
def test_any_result_can_be_made_wrong(given_: tuple[int, dict[int, float]], way: str) -> None:
    """Whatever the circuit gave: outcomes still fit the width, and nothing breaks."""
    bits, raw = given_
    readout = Readout(bits=bits, shots=100, weights={k: w / sum(raw.values()) for k, w in raw.items()})
    (found,) = told("result", "result", replace(RESULTS, readouts=(readout,)), "wrong_result", way=way).readouts
    assert all(0 <= k < 1 << found.bits for k in found.weights)
    assert sum(found.weights.values()) <= 1 + 1e-9
    found.counts()


# ---------------------------------------------------------------- devices, noise, callers


@pytest.mark.parametrize(
    ("way", "changed"),
    [
        ("maintenance", {"status": "maintenance"}),
        ("offline", {"status": "offline"}),
        ("retired", {"status": "retired"}),
        ("region", {"region": "eu-north-9"}),
        ("firmware", {"firmware": "9.9.9"}),
        ("simulator", {"simulator": True}),
        ("hardware", {}),
        ("shots", {"max_shots": 1}),
        ("small", {"qubits": 4}),
        ("busy", {"waiting": 1000, "wait_ms": 86_400_000}),
    ],
)
def test_devices_as_something_else(way: str, changed: dict[str, Any]) -> None:
    assert told("device", "device", DEVICE, "device_told", way=way) == replace(DEVICE, **changed)
    assert told("device", "device", replace(DEVICE, simulator=True), "device_told", way="hardware") == DEVICE


def test_backends_offline_say_so_of_their_devices() -> None:
    assert told("device", "device", DEVICE, "backend_offline").status == "offline"


def test_calibrations_that_are_told() -> None:
    """Better, worse, dated otherwise, or none; what is ideal stays so."""
    device = replace(DEVICE, calibration=NOISY)
    published = {
        w: told("device", "device", device, "calibration_told", way=w)
        for w in ("better", "worse", "stale", "new", "none")
    }
    errors = {w: v.calibration.medians().error_2q for w, v in published.items() if v.calibration}
    assert errors == {"better": pytest.approx(0.0025), "worse": pytest.approx(0.04), "stale": 0.01, "new": 0.01}
    assert published["none"].calibration is None
    assert published["new"].calibrated_ns == NOW_MS * NS_PER_MS
    assert published["stale"].calibrated_ns == NOW_MS * NS_PER_MS - 168 * 3_600_000 * NS_PER_MS
    assert told("device", "device", DEVICE, "calibration_told") == DEVICE


def noise(**params: Any) -> Any:
    """The calibration that a run is executed with."""
    return told("device", "execute", NOISY, "noise", **params)


def test_noise_in_its_ways() -> None:
    """Drift scales coherence and errors together."""
    step = noise(way="step", factor=2.0)
    assert step == NOISY.drifted(2.0)
    assert step.medians().t1_us == pytest.approx(50)
    assert noise(way="none") is None
    assert noise(way="dead", qubit=1) == NOISY.with_dead(1)
    assert noise(way="flip", qubit=0) == NOISY.with_readout_flipped(0)
    assert told("device", "execute", None, "noise") is None


def test_drift_grows_from_the_first_run_on() -> None:
    async def act(scene: Scene) -> list[float]:
        found = []
        for _ in range(4):
            found += await several(scene, "device", "execute", [NOISY])
            await scene.clock.sleep_ms(500)
        return [c.medians().error_2q for c in found]

    params = {"way": "drift", "factor": 3.0, "over_ms": 1_000}
    assert play(act, [FaultUse(fault="noise", params=params)]) == pytest.approx([0.01, 0.02, 0.03, 0.03])


@pytest.mark.parametrize("reason", ["expired", "invalid", "forbidden", "missing"])
def test_access_is_denied(reason: str) -> None:
    found = told("identity", "status", Admission(granted=True, tenant="t"), "access_denied", reason=reason)
    assert found == Admission(granted=False, tenant="t", reason=reason)  # type: ignore[arg-type]


def test_only_the_first_credential_is_denied() -> None:
    callers = [Admission(granted=True, tenant=t) for t in ("a", "b", "a")]

    async def act(scene: Scene) -> list[bool]:
        return [a.granted for a in await several(scene, "identity", "status", callers)]

    assert play(act, [FaultUse(fault="access_denied", params={"same_caller": True, "times": 0})]) == [
        False,
        True,
        False,
    ]


def test_a_caller_is_somebody_else() -> None:
    assert told("identity", "list", Admission(granted=True, tenant="t"), "wrong_tenant").tenant == "somebody-else"
    refused = Admission(granted=False, reason="invalid")
    assert told("identity", "list", refused, "wrong_tenant") == refused
