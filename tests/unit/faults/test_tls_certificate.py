"""A certificate that a careful client refuses."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import Rig, rigged

pytestmark = pytest.mark.asyncio
WAYS = {
    "expired": "certificate has expired",
    "early": "certificate is not yet valid",
    "name": "IP address mismatch",
    "issuer": "unable to get local issuer certificate|self.signed|certificate signature failure",
}


async def said_over_tls(rig: Rig, context: ssl.SSLContext) -> bytes:
    """What a client hears."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port, ssl=context)
    try:
        writer.write(b"hello")
        return await reader.readexactly(5)
    finally:
        writer.close()
        await writer.wait_closed()


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A careful client's."""
    return ssl.create_default_context(cafile=str(ca_file))


def careless() -> ssl.SSLContext:
    """A client that believes anything."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_tls_ends_at_the_wire(tmp_path: Path) -> None:
    """Bytes are plain behind it, and the good certificate is trusted."""
    ca_file = tmp_path / "ca.pem"
    async with rigged(options={"tls": True, "ca_file": str(ca_file)}) as rig:
        assert await said_over_tls(rig, trusting(ca_file)) == b"hello"


@pytest.mark.parametrize("way", WAYS)
async def test_a_careful_client_refuses(tmp_path: Path, way: str) -> None:
    """By name of what is wrong; a careless one goes on; healed, all is well."""
    ca_file = tmp_path / "ca.pem"
    fault = FaultUse(fault="tls_certificate", params={"way": way})
    async with rigged(fault, options={"tls": True, "ca_file": str(ca_file)}) as rig:
        with pytest.raises(ssl.SSLCertVerificationError, match=WAYS[way]):
            await said_over_tls(rig, trusting(ca_file))
        assert await said_over_tls(rig, careless()) == b"hello"
        assert rig.fired == 2
        rig.injector.heal()
        assert await said_over_tls(rig, trusting(ca_file)) == b"hello"


async def test_a_plain_wire_has_none() -> None:
    """It never strikes there."""
    async with rigged(FaultUse(fault="tls_certificate")) as rig:
        client = await rig.open()
        assert await client.ask(b"x") == b"x"
        assert rig.fired == 0
        client.close()


async def test_other_faults_strike_under_tls(tmp_path: Path) -> None:
    """A reset is one there too."""
    ca_file = tmp_path / "ca.pem"
    fault = FaultUse(fault="tcp_reset", params={"when": "after"})
    async with rigged(fault, options={"tls": True, "ca_file": str(ca_file)}) as rig:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await said_over_tls(rig, trusting(ca_file))
