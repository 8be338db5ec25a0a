"""Jobs: submit, follow, cancel, delete; their results and attempts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.engine import Connection

from targets.reference import attempts as attempts_module
from targets.reference import tenants
from targets.reference.api.deeds import Deed, Done
from targets.reference.api.refusals import READ, otherwise, refused
from targets.reference.api.requests import Caller, Limit, Living, Traceparent
from targets.reference.digests import digest
from targets.reference.errors import (
    ApprovalRequired,
    Conflict,
    Gone,
    NotFound,
    PolicyUnavailable,
    QuotaExceeded,
)
from targets.reference.idempotency import Claim
from targets.reference.identity import Actor
from targets.reference.jobs import Job, load
from targets.reference.schemas import BatchJobIn, CloneJobIn, SingleJobIn
from targets.reference.services import Services
from targets.reference.submission import Submission
from targets.reference.timestamps import now_ms
from targets.reference.views import AttemptList, AttemptView, JobList, JobView, ResultView, Status

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(min_length=1, max_length=64)]
Key = Annotated[
    str | SkipJsonSchema[None],
    Header(min_length=1, max_length=128, description="Repeat a request safely under the same key"),
]
DAY_MS = 86_400_000


@router.post(
    "/jobs",
    operation_id="submit_job",
    status_code=202,
    response_model=JobView,
    responses=otherwise(200, JobView, "The first answer to this key, again")
    | refused(ApprovalRequired, NotFound, Conflict, Gone, QuotaExceeded, PolicyUnavailable),
)
async def submit_job(
    body: SingleJobIn | BatchJobIn | CloneJobIn,
    deed: Deed,
    traceparent: Traceparent,
    idempotency_key: Key = None,
) -> Response:
    """Accept a run. A heavy one takes approvals and is refused here: propose a change instead."""
    clone = body if isinstance(body, CloneJobIn) else None
    submission = Submission(
        manifest=None if isinstance(body, CloneJobIn) else body.manifest(),
        clone_of=clone.clone_of if clone else None,
        clone_shots=clone.shots if clone else None,
        label=body.label,
        claim=_claim(deed.services, deed.actor, idempotency_key, body.model_dump()),
        traceparent=traceparent,
        request_id=deed.request_id,
    )
    answer = await deed.services.desk.submit(deed.actor, submission)
    return JSONResponse(dict(answer.body), answer.status)


def _claim(services: Services, actor: Actor, key: str | None, body: object) -> Claim | None:
    if key is None:
        return None
    scope = services.keys.scope(actor.home, actor.person, "POST /v1/jobs")
    return Claim(scope=scope, key=key, fingerprint=digest(body))


@router.get("/jobs", operation_id="list_jobs", responses=READ)
async def list_jobs(
    services: Living,
    actor: Caller,
    state: Status | None = None,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Limit = 50,
) -> JobList:
    """Jobs in the order of their acceptance, page by page; none is missed or repeated while others come."""
    found, following = await services.store.read(services.jobs.list, actor, state=state, after=cursor, limit=limit)
    return JobList.model_construct(
        items=[JobView.of(job) for job in found],
        next=None if following is None else str(following),
    )


@router.get("/jobs/{job_id}", operation_id="get_job", responses=refused(NotFound, Gone))
async def get_job(job_id: JobId, services: Living, actor: Caller) -> JobView:
    """A job."""
    try:
        job = await services.store.read(services.jobs.visible, actor, job_id)
    except NotFound:
        # JOB-19 keeps accepted jobs in memory for a while; otherwise this is always empty
        unwritten = services.desk.unwritten.get(job_id)
        if unwritten is None or not actor.sees(unwritten.tenant):
            raise
        job = unwritten
    return JobView.of(job)


@router.delete(
    "/jobs/{job_id}",
    operation_id="delete_job",
    status_code=204,
    response_class=Response,
    responses=otherwise(202, JobView, "Live: cancelled first, deleted when ended") | refused(NotFound, Conflict, Gone),
)
async def delete_job(job_id: JobId, deed: Deed) -> Response:
    """Delete a job. A live one is cancelled first, and counts until it has ended."""

    def delete(connection: Connection, services: Services) -> Done[tuple[bool, Job]]:
        job = services.jobs.visible(connection, deed.actor, job_id, lock=True)
        gone = services.jobs.delete(connection, job)
        return Done((gone, load(connection, job_id)), object=job_id, tenant=job.tenant)

    gone, job = await deed.do(delete)
    deed.services.worker.announce(job_id)
    if gone:
        return Response(status_code=204)
    return JSONResponse(JobView.of(job).model_dump(mode="json"), 202)


@router.post(
    "/jobs/{job_id}:cancel",
    operation_id="cancel_job",
    responses=otherwise(202, JobView, "Asked for; the backend has to confirm") | refused(NotFound, Conflict, Gone),
)
async def cancel_job(job_id: JobId, deed: Deed, response: Response) -> JobView:
    """Cancel a job: at once if it never started, else as soon as the backend confirms."""

    def cancel(connection: Connection, services: Services) -> Done[Job]:
        job = services.jobs.visible(connection, deed.actor, job_id, lock=True)
        services.jobs.cancel(connection, job)
        return Done(load(connection, job_id), object=job_id, tenant=job.tenant)

    job = await deed.do(cancel)
    deed.services.worker.announce(job_id)
    response.status_code = 200 if job.ended else 202
    return JobView.of(job)


@router.get(
    "/jobs/{job_id}/result",
    operation_id="get_result",
    responses=refused(NotFound, Conflict, Gone),
)
async def get_result(job_id: JobId, services: Living, actor: Caller) -> ResultView:
    """A succeeded job's predictions and where they come from, for as long as the tenant lets us keep them."""

    def read(connection: Connection) -> ResultView:
        job = services.jobs.visible(connection, actor, job_id)
        if job.result is None or job.ended_at_ms is None:
            raise Conflict(f"the job is {job.status}: there is no result")
        kept_days = tenants.load(connection, job.tenant).privacy.retention_days
        if now_ms() > job.ended_at_ms + kept_days * DAY_MS:
            raise Gone("the result was kept no longer")
        return ResultView.model_validate(job.result)

    return await services.store.read(read)


@router.get("/jobs/{job_id}/attempts", operation_id="list_attempts", responses=refused(NotFound, Gone))
async def list_attempts(job_id: JobId, services: Living, actor: Caller) -> AttemptList:
    """All attempts of a job, on the quantum backend and on the classical path."""

    def read(connection: Connection) -> AttemptList:
        job = services.jobs.visible(connection, actor, job_id)
        tried = attempts_module.of_job(connection, job.id)
        return AttemptList.model_construct(items=[AttemptView.of(attempt) for attempt in tried])

    return await services.store.read(read)
