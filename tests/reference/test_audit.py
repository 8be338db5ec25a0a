"""The audit log: complete, truthful, chained, and each sees only what is theirs."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from targets.reference.digests import digest
from tests.reference.conftest import Start

pytestmark = pytest.mark.asyncio


async def test_every_deed_and_every_refusal_has_one_entry(start: Start) -> None:
    """With the request's id, the person, and the outcome."""
    async with start() as api:
        deeds = [
            (await api.submit(), "ann", "submit_job", "ok"),
            (await api.submit(shots=20_000), "ann", "submit_job", "denied"),
            (await api.submit(shots=0), "ann", "submit_job", "denied"),
            (await api.decide("x", "bob"), "bob", "decide", "denied"),
            (await api.call("POST", "/jobs/x:cancel"), "ann", "cancel_job", "denied"),
            (await api.call("PUT", "/principals/bob/roles", {"roles": []}, as_="cid"), "cid", "set_roles", "denied"),
            (await api.call("POST", "/tenants", {"id": "new"}, as_="op"), "op", "create_tenant", "ok"),
        ]
        entries = await api.audit()
        for response, actor, action, outcome in deeds:
            (entry,) = (e for e in entries if e["request_id"] == response.headers["x-request-id"])
            assert (entry["actor"], entry["action"], entry["outcome"]) == (actor, action, outcome)


async def test_background_work_is_on_the_account_of_who_caused_it(start: Start) -> None:
    """The executor of a change, on behalf of its author."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        executed = await api.call("POST", f"/changes/{change}:execute", as_="cid")
        job = executed.json()["job"]
        await api.until(job)
        (entry,) = (e for e in await api.audit() if e["action"] == "finish_job")
        assert (entry["actor"], entry["on_behalf_of"], entry["object"]) == ("cid", "ann", job)


async def test_the_chain_can_be_recomputed(start: Start) -> None:
    """Gapless, linked, hashed over all that is shown, with signed checkpoints."""
    async with start(AUDIT_KEY="secret") as api:
        for _ in range(6):
            await api.until(await api.accepted())
        entries = await api.audit()
        assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
        previous = ""
        for entry in entries:
            link = entry.pop("hash")
            assert entry["prev_hash"] == previous
            assert digest(entry) == link
            previous = link
        (point,) = (await api.get("/audit/checkpoints", as_="op"))["items"]
        signed = f"{point['seq']}:{point['hash']}".encode()
        assert point["signature"] == hmac.new(b"secret", signed, hashlib.sha256).hexdigest()
        assert entries[point["seq"]]["prev_hash"] == point["hash"]


async def test_auditors_see_their_tenant_only(start: Start) -> None:
    """And others see nothing."""
    async with start() as api:
        await api.until(await api.accepted())
        await api.until(await api.accepted(as_="zed"), as_="zed")
        for auditor, tenant in (("ann", "acme"), ("zed", "zeta")):
            items = (await api.get("/audit", as_=auditor))["items"]
            assert {e["tenant"] for e in items} == {tenant}
        assert (await api.call("GET", "/audit", as_="bob")).status_code == 403
        last = (await api.audit())[-1]["seq"]
        assert (await api.get(f"/audit?after={last}", as_="op"))["items"] == []
