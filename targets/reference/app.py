"""The ASGI application. ``factory(settings)`` makes it; its lifespan makes and ends everything else.

The same application can live many times, one life after the other, each with what its store holds then.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from targets.reference.api import audit, changes, jobs, policies, quota, system, tenants
from targets.reference.api.refusals import install
from targets.reference.api.requests import RequestIds
from targets.reference.life import life
from targets.reference.settings import Settings


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
