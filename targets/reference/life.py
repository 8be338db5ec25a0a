"""One life of the service: what its role asks for, put together at the start and ended at the end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache

import httpx

from targets.reference import services
from targets.reference.settings import Settings
from targets.reference.store import Store

#: a session that stands still in a transaction is given so long at least: a busy machine may stop it as well
LEAST_PATIENCE_S = 2.0


@asynccontextmanager
async def life(settings: Settings) -> AsyncIterator[services.Services]:
    """Everything that the settings' role asks for, at work until the context ends."""
    store = Store(
        settings.database_url, shared=settings.shared, patience_s=max(settings.worker_lease_s, LEAST_PATIENCE_S)
    )
    async with http_client() as http:
        living = services.build(settings, store, http)
        await store.transaction(services.prepare, living)
        worker = asyncio.create_task(living.worker.run())
        try:
            yield living
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
            await store.close()


def http_client() -> httpx.AsyncClient:
    """The client for everything outside; only addresses named in the settings are called, and directly."""
    return httpx.AsyncClient(verify=_certificates(), trust_env=False)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    # reading the certificates takes longer than a whole request
    return httpx.create_ssl_context()
