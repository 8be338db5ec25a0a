"""What each protocol says of a device: its status in exact words, when it was calibrated, how many wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.model import FaultUse
from harness.providers._protocol import Protocol
from harness.registry import subclasses
from harness.wire import Reply
from tests.families.dialects import dialect
from tests.families.dialects.base import Dialect
from tests.unit.backend.scene import Scene, play

PROTOCOLS = dict(sorted(subclasses("harness.providers", Protocol).items()))  # type: ignore[type-abstract]
STATUSES = ("online", "offline", "maintenance", "retired")
Words = Callable[[Mapping[str, Any]], Any]


def listed_by_ibm(body: Mapping[str, Any]) -> Any:
    return body["devices"][0]["status"]


def told_by_ibm(body: Mapping[str, Any]) -> Any:
    return [body["state"], body["status"], body["message"]]


#: protocol → each place that tells a status (of ``published``, in order), and its words for every status
WORDS: Mapping[str, tuple[tuple[int, Words, tuple[Any, ...]], ...]] = {
    "braket": ((0, lambda b: b["deviceStatus"], ("ONLINE", "OFFLINE", "OFFLINE", "RETIRED")),),
    "ibm": (
        (
            0,
            listed_by_ibm,
            (
                {"name": "online", "reason": ""},
                {"name": "offline", "reason": "not available"},
                {"name": "paused", "reason": "maintenance"},
                {"name": "offline", "reason": "retired"},
            ),
        ),
        (
            2,
            told_by_ibm,
            (
                [True, "active", ""],
                [False, "internal", "offline"],
                [True, "maintenance", "maintenance"],
                [False, "retired", "retired"],
            ),
        ),
    ),
    "ionq": ((0, lambda b: b["status"], ("available", "unavailable", "unavailable", "retired")),),
    "oqtopus": ((0, lambda b: b["status"], ("available", "unavailable", "unavailable", "unavailable")),),
}
CASES = [
    (name, place, read, status, words[k])
    for name, places in WORDS.items()
    for place, read, words in places
    for k, status in enumerate(STATUSES)
]


def published(name: str, status: str) -> list[Reply]:
    """Everything that tells of the noisy device, while it is told to be so."""

    async def act(scene: Scene) -> list[Reply]:
        speaker = spoken(name, scene)
        replies = await speaker.published(noisy(speaker))
        await speaker.double.aclose()
        return replies

    return play(act, [] if status == "online" else [FaultUse(fault="device_told", params={"way": status, "times": 0})])


def spoken(name: str, scene: Scene) -> Dialect:
    return dialect(name)(scene, PROTOCOLS[name].make(scene.south, {}))


def noisy(speaker: Dialect) -> str:
    return str(getattr(speaker, "noisy_arn", speaker.noisy))


def test_every_protocol_has_its_words_here() -> None:
    assert set(WORDS) == set(PROTOCOLS)


@pytest.mark.parametrize(
    ("name", "place", "read", "status", "words"), CASES, ids=[f"{n}-{p}-{s}" for n, p, _, s, _ in CASES]
)
def test_a_status_is_told_in_the_vendors_words(name: str, place: int, read: Words, status: str, words: Any) -> None:
    reply = published(name, status)[place]
    assert reply.status == 200
    assert read(json.loads(reply.body)) == words


def test_a_retired_device_of_ibm_publishes_nothing_more() -> None:
    """Its configuration and its properties are gone."""

    async def act(scene: Scene) -> list[Reply]:
        speaker = spoken("ibm", scene)
        replies = [await speaker.ask("device", speaker.noisy), await speaker.calibration()]
        await speaker.double.aclose()
        return replies

    gone = play(act, [FaultUse(fault="device_told", params={"way": "retired", "times": 0})])
    assert [(r.status, json.loads(r.body)["errors"][0]["code"]) for r in gone] == [(404, 2600), (404, 2622)]


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("braket", lambda b: json.loads(b["deviceCapabilities"])["service"]["updatedAt"]),
        ("ibm", lambda b: b["last_update_date"]),
        ("ionq", lambda b: b["characterizations"][0]["date"]),
        ("oqtopus", lambda b: b["calibrated_at"]),
        ("oqtopus", lambda b: json.loads(b["device_info"])["calibrated_at"]),
    ],
)
def test_when_it_was_calibrated_is_told_and_moves(name: str, when: Words) -> None:
    """A device that is calibrated anew two hours in says so, to the second."""

    async def act(scene: Scene) -> list[str]:
        speaker = spoken(name, scene)
        backend = speaker.double.backend
        told = [when(json.loads((await speaker.calibration()).body))]
        for device in backend.devices:
            if device.calibration is not None:
                later = replace(device.calibration, calibrated_ns=7_200 * 10**9)
                backend.exchange(replace(device, calibration=later))
        told.append(when(json.loads((await speaker.calibration()).body)))
        await speaker.double.aclose()
        return told

    before, after = play(act)
    assert before.startswith("2026-01-01T00:00:00")
    assert after.startswith("2026-01-01T02:00:00")


@pytest.mark.parametrize(
    ("name", "position", "waiting"),
    [
        # the first that waits is number 1; IonQ and OQTOPUS tell no place
        ("ibm", lambda b: b["position_in_queue"], lambda b: b["length_queue"]),
        ("braket", lambda b: b["queueInfo"]["position"], lambda b: int(b["deviceQueueInfo"][0]["queueSize"])),
        ("oqtopus", None, lambda b: b["n_pending_jobs"]),
    ],
)
def test_places_in_the_queue_are_exact(name: str, position: Words | None, waiting: Words) -> None:
    """Three jobs of one device, stalled: 1, 2, 3, and three that wait."""

    async def act(scene: Scene) -> None:
        speaker = spoken(name, scene)
        device = noisy(speaker)
        jobs = [speaker.id_of(await speaker.submit(("low",), 10, device)) for _ in range(3)]
        if position is not None:
            places = [position(json.loads((await speaker.place(job)).body)) for job in jobs]
            assert [str(p) for p in places] == ["1", "2", "3"]
        assert waiting(json.loads((await speaker.published(device))[-1].body)) == 3
        await speaker.double.aclose()

    play(act, [FaultUse(fault="queue_stall", params={"times": 0})])
