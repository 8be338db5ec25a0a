"""Admission of runs: the key, the tenant, the quota's first look, the policy, and then one transaction that accepts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from targets.reference import audit, tenants
from targets.reference.errors import ApiError, ApprovalRequired, Forbidden, PolicyUnavailable
from targets.reference.idempotency import UNANSWERED, Answer, Claim, Keys, KeyTaken
from targets.reference.identity import Actor
from targets.reference.jobs import Job, Jobs, Order
from targets.reference.policy import Action, PolicyService
from targets.reference.proposals import run_question
from targets.reference.quota import Quotas
from targets.reference.runs import Manifest
from targets.reference.settings import Settings
from targets.reference.store import Store
from targets.reference.tenants import Tenant
from targets.reference.views import JobView
from targets.reference.worker import Dispatcher

ACCEPTED, REPLAYED = 202, 200


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a caller asks to run: a manifest, or another job again with perhaps other shots."""

    manifest: Manifest | None
    clone_of: str | None
    clone_shots: int | None
    label: str | None
    claim: Claim | None
    traceparent: str | None
    request_id: str


class Desk:
    """Takes submissions. Between its transactions it holds nothing, so a crash anywhere leaves nothing behind."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        policy: PolicyService,
        quotas: Quotas,
        keys: Keys,
        jobs: Jobs,
        worker: Dispatcher,
    ) -> None:
        self._settings = settings
        self._defects = settings.defects
        self._store = store
        self._policy = policy
        self._quotas = quotas
        self._keys = keys
        self._jobs = jobs
        self._worker = worker
        self.unwritten: dict[str, Job] = {}

    async def submit(self, actor: Actor, submission: Submission) -> Answer:
        """Accept a run: 202 with its job, or 200 with the first answer to the same key. Raises every refusal."""
        prepared = await self._store.read(self._prepare, actor, submission)
        if isinstance(prepared, Answer):
            return await self._store.transaction(self._replay, actor, submission, prepared)
        order, tenant = prepared
        job = order.job()
        await self._reserve_early(job, submission)
        try:
            await self._admit(actor, tenant, order, cloned=submission.clone_of is not None)
        except PolicyUnavailable as refusal:
            await self._keep_failure(submission, refusal)
            raise
        try:
            if "JOB-19" in self._defects:
                return await self._answer_early(actor, job, submission)
            answer = await self._store.transaction(self._accept, actor, job, submission)
        except KeyTaken:
            return await self.submit(actor, submission)
        self._worker.announce(job.id)
        return answer

    def _prepare(self, connection: Connection, actor: Actor, submission: Submission) -> Answer | tuple[Order, Tenant]:
        claim = submission.claim
        if claim and (answer := self._keys.lookup(connection, claim)):
            return answer
        manifest = submission.manifest or self._cloned(connection, actor, submission)
        tenant = tenants.load(connection, actor.home)
        tenant.may_run()
        tenant.may_reach(manifest.backend)
        self._quotas.check(connection, tenant.id, manifest.amounts())
        order = Order(
            tenant=tenant.id,
            person=actor.person,
            manifest=manifest,
            traceparent=submission.traceparent,
        )
        return order, tenant

    def _cloned(self, connection: Connection, actor: Actor, submission: Submission) -> Manifest:
        source = self._jobs.visible(connection, actor, submission.clone_of or "")
        return replace(source.manifest, shots=submission.clone_shots or source.manifest.shots)

    async def _admit(self, actor: Actor, tenant: Tenant, order: Order, *, cloned: bool) -> None:
        if cloned and "APR-23" in self._defects:
            return
        action: Action = "clone" if cloned else "submit"
        verdict = await self._policy.admit(run_question(action, actor.person, tenant, order.manifest, self._settings))
        if verdict.allow:
            return
        if verdict.stages:
            raise ApprovalRequired("a run of this weight takes approvals: propose a change")
        raise Forbidden(verdict.reason or "the policy forbids it")

    def _accept(self, connection: Connection, actor: Actor, job: Job, submission: Submission) -> Answer:
        """All that makes an accepted job, or nothing of it."""
        answer = _accepted(job)
        if submission.claim:
            self._keys.answer(connection, submission.claim, answer)
        self._enter(connection, actor, job, submission)
        return answer

    def _enter(self, connection: Connection, actor: Actor, job: Job, submission: Submission) -> None:
        if "QUO-03" not in self._defects:
            self._quotas.reserve(connection, job.tenant, job.id, job.manifest.amounts())
        self._jobs.insert(connection, job, submission.label)
        self._note(connection, actor, submission, job.id)

    def _replay(self, connection: Connection, actor: Actor, submission: Submission, answer: Answer) -> Answer:
        self._note(connection, actor, submission, str(answer.body.get("id", "jobs")))
        return replace(answer, status=REPLAYED) if answer.status == ACCEPTED else answer

    def _note(self, connection: Connection, actor: Actor, submission: Submission, job_id: str) -> None:
        audit.record(
            connection,
            audit.Entry(
                actor=actor.person,
                tenant=actor.tenant,
                action="submit_job",
                object=job_id,
                request_id=submission.request_id,
            ),
        )

    # ------------------------------------------------------------ defects that need more than a condition

    async def _reserve_early(self, job: Job, submission: Submission) -> None:
        if "JOB-05" in self._defects and submission.claim:
            blank = Answer(status=UNANSWERED, body={})
            await self._store.transaction(self._keys.answer, submission.claim, blank)
        if "QUO-03" in self._defects:
            amounts = job.manifest.amounts()
            await self._store.transaction(self._quotas.reserve, job.tenant, job.id, amounts)

    async def _keep_failure(self, submission: Submission, refusal: PolicyUnavailable) -> None:
        if "JOB-06" in self._defects and submission.claim:
            body = {"error": refusal.word, "message": refusal.message, "request_id": submission.request_id}
            answer = Answer(status=refusal.status, body=body)
            await self._store.transaction(self._keys.answer, submission.claim, answer)

    async def _answer_early(self, actor: Actor, job: Job, submission: Submission) -> Answer:
        async def write_behind() -> bool:
            await asyncio.sleep(self._settings.write_behind_s)
            try:
                await self._store.transaction(self._enter, actor, job, submission)
            except ApiError:
                return False
            finally:
                del self.unwritten[job.id]
            return True

        answer = _accepted(job)
        if submission.claim:
            await self._store.transaction(self._keys.answer, submission.claim, answer)
        self.unwritten[job.id] = job
        self._worker.announce(job.id, first=write_behind)
        return answer


def _accepted(job: Job) -> Answer:
    return Answer(status=ACCEPTED, body=JobView.of(job).model_dump(mode="json"))
