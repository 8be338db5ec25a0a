"""The policy service (an OPA): may this be admitted, and if not outright, whose approvals does it take?

Fails closed: anything but a well-formed decision within the time-out is PolicyUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from targets.reference.errors import PolicyUnavailable
from targets.reference.settings import Settings

Action = Literal["submit", "clone", "propose", "execute", "quota_raise", "policy_change"]


class Stage(BaseModel):
    """One round of approvals: how many persons with which ability."""

    model_config = ConfigDict(frozen=True)

    name: str
    quorum: int = Field(ge=1)
    ability: str


class Verdict(BaseModel):
    """The policy's decision. Not allowed and with stages means: allowed once they are all met."""

    model_config = ConfigDict(frozen=True, strict=True)

    allow: bool
    reason: str = ""
    stages: tuple[Stage, ...] = Field(default=(), strict=False)
    order: Literal["strict", "any"] = "any"
    ttl_s: float | None = None
    version: int | str = 0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be admitted; weight is circuits x shots x repeats."""

    action: Action
    kind: str
    tenant: str
    person: str
    weight: int = 0
    shots: int = 0
    circuits: int = 0
    repeats: int = 1
    backend: str | None = None
    region: str | None = None
    residency: tuple[str, ...] = ()
    target: str | None = None
    limit: int | None = None
    base_version: int | None = None


class PolicyService:
    """The client; one question is one call, never repeated."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._url = settings.policy_url.rstrip("/") + "/v1/data/pipeline/admission"
        self._timeout_s = settings.policy_timeout_s
        self._defects = settings.defects

    async def admit(self, question: Question) -> Verdict:
        """The policy's verdict; PolicyUnavailable if it gives none."""
        try:
            return await self._ask({"input": asdict(question)})
        except PolicyUnavailable:
            if "APR-19" in self._defects:
                return Verdict(allow=True, reason="the policy service is away")
            raise

    async def _ask(self, document: Mapping[str, object]) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.post(self._url, json=document)
        except (TimeoutError, httpx.TransportError) as error:
            raise PolicyUnavailable("the policy service does not answer") from error
        if response.status_code != httpx.codes.OK:
            raise PolicyUnavailable(f"the policy service answers {response.status_code}")
        try:
            return _Answer.model_validate_json(response.content).result
        except ValidationError as error:
            raise PolicyUnavailable("the policy service gives no decision") from error


class _Answer(BaseModel):
    result: Verdict
