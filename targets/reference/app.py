"""The ASGI application. ``factory(settings)`` makes it; its lifespan makes and ends everything else.

The same application can live many times, one life after the other, each with what its store holds then.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache

import httpx
from fastapi import FastAPI

from targets.reference import services
from targets.reference.api import audit, changes, jobs, policies, quota, system, tenants
from targets.reference.api.refusals import install
from targets.reference.api.requests import RequestIds
from targets.reference.settings import Settings
from targets.reference.store import Store


def factory(settings: Mapping[str, str]) -> FastAPI:
    """An application with these settings; ValueError if one makes no sense."""
    chosen = Settings.read(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with life(chosen) as living:
            app.state.services = living
            yield

    app = FastAPI(
        title="Hybrid inference",
        version="1.0.0",
        summary="Runs small variational models on quantum hardware: guarded, metered, audited.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    for module in (tenants, quota, policies, changes, jobs, audit, system):
        app.include_router(module.router, prefix="/v1")
    install(app)
    app.add_middleware(RequestIds)
    return app


def from_environment() -> FastAPI:
    """An application with the environment's settings, for servers that import one."""
    return factory(os.environ)


@asynccontextmanager
async def life(settings: Settings) -> AsyncIterator[services.Services]:
    """Everything that the settings' role asks for, at work until the context ends."""
    store = Store(settings.database_url, shared=settings.shared, patience_s=settings.worker_lease_s)
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
