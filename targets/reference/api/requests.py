"""What every request brings: an id of its own, the services, the person behind it, and perhaps a version it expects."""

from __future__ import annotations

import re
import uuid
from typing import Annotated

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import StringConstraints
from pydantic.json_schema import SkipJsonSchema
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from targets.reference.identity import Actor
from targets.reference.services import Services

_bearer = HTTPBearer(auto_error=False, description="A token of a known person")
_traceparent = re.compile(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")


class RequestIds:
    """Gives each request an id and returns it as X-Request-Id; audit entries carry the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


async def _services(request: Request) -> Services:
    living: Services = request.app.state.services
    return living


async def _actor(
    request: Request,
    services: Annotated[Services, Depends(_services)],
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Actor:
    return services.directory.actor(request.headers.get("Authorization"))


async def _request_id(request: Request) -> str:
    return str(request.state.request_id)


async def _if_match(
    if_match: Annotated[
        Annotated[str, StringConstraints(pattern=r'^(\*|"?[0-9]{1,9}"?)$')] | SkipJsonSchema[None],
        Header(description="The version this is based on, or *"),
    ] = None,
) -> int | None:
    if if_match is None or if_match == "*":
        return None
    return int(if_match.strip('"'))


async def _trace(
    traceparent: Annotated[str | SkipJsonSchema[None], Header(description="W3C trace context")] = None,
) -> str | None:
    # the standard says to go on without a trace context that is malformed
    return traceparent if traceparent and _traceparent.match(traceparent) else None


Living = Annotated[Services, Depends(_services)]
Caller = Annotated[Actor, Depends(_actor)]
RequestId = Annotated[str, Depends(_request_id)]
IfMatch = Annotated[int | None, Depends(_if_match)]
Traceparent = Annotated[str | None, Depends(_trace)]
Limit = Annotated[int, Query(ge=1, le=200)]


def etag(version: int) -> dict[str, str]:
    """The header that names a version, for If-Match."""
    return {"ETag": f'"{version}"'}
