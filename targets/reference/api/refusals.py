"""Every refusal has one shape, and every refused or failed deed of a known person is in the audit log."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException

from targets.reference import audit
from targets.reference.errors import (
    ApiError,
    ApprovalRequired,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    PolicyUnavailable,
    QuotaExceeded,
    StaleVersion,
    Unauthenticated,
)
from targets.reference.services import Services
from targets.reference.views import ErrorBody

Responses = dict[int | str, dict[str, Any]]
WORDS = {404: "not_found", 405: "method_not_allowed"}
READING = frozenset({"GET", "HEAD", "OPTIONS"})

log = logging.getLogger(__name__)


def refused(*errors: type[ApiError]) -> Responses:
    """The responses of an operation that can be refused like this; everyone can be unauthenticated or invalid."""
    responses: Responses = {}
    every: tuple[type[ApiError], ...] = (Unauthenticated, Invalid, *errors)
    for error in every:
        description = (error.__doc__ or "").splitlines()[0]
        responses[error.status] = {"model": ErrorBody, "description": description}
    if QuotaExceeded in errors:
        header = {"description": "Seconds to wait", "schema": {"type": "integer"}}
        responses[QuotaExceeded.status]["headers"] = {"Retry-After": header}
    return responses


def otherwise(status: int, model: type[BaseModel], description: str) -> Responses:
    """One more response that is no refusal."""
    return {status: {"model": model, "description": description}}


#: the usual sets
READ = refused(NotFound)
WRITE = refused(Forbidden, NotFound, Conflict, StaleVersion)
GUARDED = refused(ApprovalRequired, NotFound, Conflict, Gone, StaleVersion, QuotaExceeded, PolicyUnavailable)


def install(app: FastAPI) -> None:
    """Let the application answer all errors in our shape."""
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(DataError, _refuse)
    app.add_exception_handler(Exception, _fail)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    status, word, message, headers = _described(error)
    await _remember(request, status)
    return _response(request, status, word, message, headers)


async def _fail(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    try:
        await _remember(request, 500)
    except DBAPIError:
        # the store is away, which may be why it failed
        log.exception("no entry for %s %s", request.method, request.url.path)
    return _response(request, 500, "internal", "this is our fault", {})


def _described(error: Exception) -> tuple[int, str, str, dict[str, str]]:
    if isinstance(error, ApiError):
        return error.status, error.word, error.message, error.headers
    if isinstance(error, RequestValidationError):
        return 422, Invalid.code, _first_problem(error), {}
    if isinstance(error, DataError):
        # a character that no text of the database can hold, such as NUL
        return Invalid.status, Invalid.code, "not a text that can be stored", {}
    if isinstance(error, HTTPException) and error.status_code == 400:
        # the framework's word for a body that is not even text
        return Invalid.status, Invalid.code, str(error.detail), {}
    if isinstance(error, HTTPException):
        word = WORDS.get(error.status_code, "invalid")
        return error.status_code, word, str(error.detail), dict(error.headers or {})
    raise error


def _first_problem(error: RequestValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}"


async def _remember(request: Request, status: int) -> None:
    """An entry for a deed that was not done. Who is unknown does nothing that could be attributed."""
    services: Services = request.app.state.services
    route = request.scope.get("route")
    action = getattr(route, "operation_id", None)
    if request.method in READING or action is None or "AUD-01" in services.settings.defects:
        return
    try:
        actor = services.directory.actor(request.headers.get("Authorization"))
    except Unauthenticated:
        return
    entry = audit.Entry(
        actor=actor.person,
        tenant=actor.tenant,
        action=action,
        object=next(iter(map(str, request.path_params.values())), request.url.path),
        outcome="failed" if status >= 500 else "denied",
        request_id=request.state.request_id,
    )
    await services.store.transaction(audit.record, entry)


def _response(request: Request, status: int, word: str, message: str, headers: dict[str, str]) -> JSONResponse:
    body = {"error": word, "message": message, "request_id": request.state.request_id}
    return JSONResponse(body, status, headers)
