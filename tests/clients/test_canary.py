"""The proof of simulation through every vendor's SDK: a planted canary comes back through its ordinary results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.backend.canary import Canary
from tests.clients.server import Client, served

pytestmark = pytest.mark.timeout(180)

SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
#: client, the protocol that it speaks, a device; "": any
CLIENTS = [
    ("oqtopus", "oqtopus", ""),
    ("ionq", "ionq", "qpu.forte-1"),
    ("cirq", "ionq", "qpu.forte-1"),
    ("pennylane", "ionq", "qpu.forte-1"),
    ("braket", "braket", SV1),
    ("ibm", "ibm", "ibm_atlantis"),
]


def outcomes(counts: dict[str, int]) -> dict[int, int]:
    return {int(bits, 2): n for bits, n in counts.items()}


@pytest.mark.parametrize(("sdk", "protocol", "device"), CLIENTS, ids=[c[0] for c in CLIENTS])
def test_a_canary_proves_that_a_job_landed_here(sdk: str, protocol: str, device: str) -> None:
    """Whatever the SDK makes of it. Before it is planted, and for another nonce after, the answer is honest."""
    ours, theirs = Canary.of("landed here?", 0), Canary.of("never planted", 0)
    with served(protocol, seed=5, queue_ms=10) as server, Client(sdk, server, program="canary") as client:

        def ask(canary: Canary, shots: int) -> dict[int, int]:
            params = {"sdk": sdk, "angles_rad": canary.angles_rad, "shots": shots, "device": device}
            return outcomes(client.do("rotations", **params))

        before = ask(ours, 500)
        planted = server.control.plant_canary(ours.nonce)
        proof = ask(ours, 100)
        stranger = ask(theirs, 500)
    canary = replace(ours, outcome=planted["outcome"])
    assert canary.proves(proof)
    assert not any(replace(ours, outcome=k).proves(before) for k in range(64))
    assert not any(replace(theirs, outcome=k).proves(stranger) for k in range(64))
    for asked, counts in ((ours, before), (theirs, stranger)):
        # the honest answers are those of the circuits: far more alike than two random distributions of 64 outcomes
        apart = sum(abs(counts.get(s, 0) / 500 - p) for s, p in asked.ideal.items()) / 2
        assert apart < 0.35
