"""IonQ v0.4's jobs: from submission to deletion, one by one and in bulk, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.backend.devices import Device
from harness.clock import date_at
from harness.providers import _ionq_money as money
from harness.providers import _ionq_views as views
from harness.providers._ionq_base import Found
from harness.providers._ionq_gates import invalid
from harness.providers._ionq_input import MAX_SHOTS, SINGLE, TYPES, Job, ids_of, parse, reparse
from harness.providers._ionq_results import IonQResults, descriptors, output
from harness.providers._protocol import Refusal
from harness.tellings import RUN_STATES, Admission, RunView
from harness.wire import Reply, Request

_PAGE = 25


class IonQJobs(IonQResults):
    """/v0.4/jobs"""

    async def _submit(self, request: Request, caller: Admission) -> Reply:
        trace = request.headers.get("traceparent")
        job = await self.backend.aside(lambda: parse(request.body, self._by_name(), trace), len(request.body))
        return await self._created(job, request, caller)

    async def _clone(self, request: Request, caller: Admission, job: str) -> Reply:
        return await self._created(self._copy(self.found(job, caller), request), request, caller)

    async def _move(self, request: Request, caller: Admission, job: str) -> Reply:
        """A clone that takes the place of the original, which must not have ended."""
        found = self.found(job, caller)
        if found.circuit is not None:
            raise invalid("A child job can't be moved.", "UUID", source="params")
        if found.run.ended:
            raise invalid(f"The job is already {found.run.state}.", "UUID", source="params")
        copy = self._copy(found, request)
        self.check_session(copy, caller)
        self.backend.cancel(found.run)
        return await self._created(copy, request, caller)

    def _copy(self, found: Found, request: Request) -> Job:
        trace = request.headers.get("traceparent")
        return reparse(request.body, found.entry.job, found.circuit, self._by_name(), trace)

    async def _created(self, job: Job, request: Request, caller: Admission) -> Reply:
        self.check_session(job, caller)
        found = self.accept(job, request, caller)
        told = await self.look(found.run, "submit", request)
        return Reply.of_json(201, {"id": told.id, "status": "submitted", "session_id": job.session_id})

    def check_session(self, job: Job, caller: Admission) -> None:
        """Whether its session takes the job; raises Refusal."""

    async def _get(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self.found(job, caller)
        told = await self.look(found.run, "status", request)
        return Reply.of_json(200, self._view(found, told, whole=True))

    async def _list(self, request: Request, caller: Admission) -> Reply:
        return await self._page(request, self.listed(request.query.get("parent_job_id"), caller))

    async def _page(self, request: Request, listed: Iterable[Found]) -> Reply:
        limit, page = _limit(request.query.get("limit")), []
        if "status" in request.query:
            _one_of(request.query, "status", None, RUN_STATES)
        for found in _behind(listed, request.query.get("next")):
            if found.run.deleted:
                continue
            told = await self.look(found.run, "list", request)
            view = self._view(found, told, whole=False)
            if told.listed and _matches(view, request):
                page.append(view)
            if len(page) > limit:
                break
        more = len(page) > limit
        return Reply.of_json(200, {"jobs": page[:limit], "next": page[limit - 1]["id"] if more else None})

    async def _cancel(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self.found(job, caller)
        if not await self.cancel(found.run, request) and found.run.state != "canceled":
            raise invalid(f"The job is already {found.run.state}.", "UUID", source="params")
        return Reply.of_json(200, {"id": job, "status": "canceled"})

    async def _cancel_many(self, request: Request, caller: Admission) -> Reply:
        """All or, if one is unknown, none; those that have ended are passed over."""
        found = [self.found(job, caller) for job in ids_of(request.body)]
        canceled = [f.id for f in found if await self.cancel(f.run, request) or f.run.state == "canceled"]
        return Reply.of_json(200, {"ids": canceled, "status": "canceled"})

    async def _delete(self, request: Request, caller: Admission, job: str) -> Reply:
        self.backend.delete(self.found(job, caller).run)
        return Reply.of_json(200, {"id": job, "status": "deleted"})

    async def _delete_many(self, request: Request, caller: Admission) -> Reply:
        found = [self.found(job, caller) for job in ids_of(request.body)]
        for one in found:
            self.backend.delete(one.run)
        return Reply.of_json(200, {"ids": [f.id for f in found], "status": "deleted"})

    # ------------------------------------------------------------ money

    async def _cost(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self.found(job, caller)
        told = await self.look(found.run, "status", request)
        return Reply.of_json(200, money.cost(found.run.device, told, found.run.order.dry_run))

    async def _estimate(self, request: Request, caller: Admission) -> Reply:
        query = request.query
        device = self._by_name().get(query.get("backend", ""))
        if device is None:
            raise invalid('"backend" is not a known backend.', "backend", source="query")
        asked = money.Estimate(
            type=_one_of(query, "type", SINGLE, TYPES),
            qubits=whole_number(query, "qubits", 25, 1),
            shots=whole_number(query, "shots", 1000, 1, MAX_SHOTS),
            gates_1q=whole_number(query, "1q_gates", 0, 0),
            gates_2q=whole_number(query, "2q_gates", 0, 0),
            error_mitigation=flag(query, "error_mitigation") is True,
        )
        wait_ms = self.backend.publish(device).wait_ms
        at = views.iso(self.south.clock.now_ns())
        return Reply.of_json(200, money.estimate(asked, device, wait_ms, at, self.south.seed))

    async def _usage(self, request: Request, caller: Admission, organization: str) -> Reply:
        if organization != self.identity("organization", caller.tenant):
            raise Refusal(404, "Organization not found.")
        query = request.query
        period = money.Period(
            start=_day(query, "start_date"),
            end=_day(query, "end_date"),
            grouping=_one_of(query, "group_by", None, money.GROUPINGS),
            modality=_one_of(query, "modality", None, money.MODALITIES),
        )
        spent = [self._spent(f, period.grouping, caller) for f in self.listed(None, caller) if f.run.ended]
        return Reply.of_json(200, money.usage(spent, period, organization))

    def _spent(self, found: Found, grouping: str, caller: Admission) -> money.Spent:
        told, job = self.backend.look(found.run), found.entry.job
        groups = {
            "job": (found.id, job.name or found.id),
            "project": (self.identity("project", caller.tenant), views.PROJECT),
            "user": (views.SUBMITTER, views.SUBMITTER),
        }
        group, name = groups[grouping]
        priced = money.is_priced(found.run.device)
        day = date_at(told.ended_ns or 0).date()
        return money.Spent(group=group, name=name, day=day, seconds=told.cost_s if priced else 0.0)

    # ------------------------------------------------------------ views

    def _by_name(self) -> dict[str, Device]:
        """The devices that IonQ lists: the backend may have others."""
        return {d.name: d for d in self.backend.devices if "ionq" in d.families}

    def _view(self, found: Found, told: RunView, whole: bool) -> dict[str, Any]:
        """A job as GET shows it; lists leave the children out."""
        job = found.entry.job
        view = {
            "id": found.id if found.circuit is not None else told.id,
            "status": told.state,
            "type": SINGLE if found.circuit is not None else job.program.type,
            "backend": told.device,
            "dry_run": job.order.dry_run,
            "submitter_id": views.SUBMITTER,
            "project_id": self.identity("project", found.run.tenant),
            "session_id": job.session_id,
            **views.times(told),
            **_family(found, told),
            "failure": views.failure(told),
            "cost_model": "QCT",
            "output": output(found) if told.state == "completed" else {},
            "settings": dict(job.settings),
            "stats": views.stats(job.program, found.circuit, told),
            "results": descriptors(found) if told.has_results else None,
        }
        if whole:
            view["child_job_ids"] = (list(found.entry.children) or None) if found.circuit is None else None
        if job.noise is not None:
            view["noise"] = dict(job.noise)
        if found.run.calibration is not None:
            view["shots"] = told.shots
        return view


def _family(found: Found, told: RunView) -> dict[str, Any]:
    """What differs between a job and its children."""
    job, circuit = found.entry.job, found.circuit
    if circuit is None:
        return {"parent_job_id": None, "metadata": dict(told.metadata) or None, "name": job.name}
    return {"parent_job_id": found.run.id, "metadata": None, "name": job.program.names[circuit]}


# ------------------------------------------------------------ queries


def flag(query: Mapping[str, str], key: str) -> bool | None:
    """A boolean of a query; raises Refusal."""
    raw = query.get(key)
    if raw is not None and raw not in ("true", "false"):
        raise invalid(f'"{key}" must be true or false.', key, source="query")
    return None if raw is None else raw == "true"


def whole_number(query: Mapping[str, str], key: str, default: int, least: int, most: int = 2**31 - 1) -> int:
    """An integer of a query within bounds; raises Refusal."""
    raw = query.get(key)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= len(str(most)) and least <= int(raw) <= most):
        raise invalid(f'"{key}" must be an integer between {least} and {most}.', key, source="query")
    return int(raw)


def _one_of(query: Mapping[str, str], key: str, default: str | None, known: tuple[str, ...]) -> Any:
    value = query.get(key, default)
    if value not in known:
        raise invalid(f'"{key}" must be one of [{", ".join(known)}].', key, source="query")
    return value


def _day(query: Mapping[str, str], key: str) -> Any:
    found = views.parse_day(query.get(key, ""))
    if found is None:
        raise invalid(f'"{key}" must be a date, as 2026-01-31.', key, source="query")
    return found


def _limit(raw: str | None) -> int:
    return whole_number({} if raw is None else {"limit": raw}, "limit", _PAGE, 1)


def _matches(view: Mapping[str, Any], request: Request) -> bool:
    wanted = {
        "status": request.values("status"),
        "backend": _separated(request.values("target")),
        "session_id": request.values("session_id"),
        "submitter_id": request.values("submitter_id"),
        "id": _separated(request.values("ids")),
    }
    return all(not values or view[key] in values for key, values in wanted.items())


def _separated(values: Iterable[str]) -> list[str]:
    """Repeated, or separated by commas, or both."""
    return [part for value in values for part in value.split(",") if part]


def _behind(listed: Iterable[Found], cursor: str | None) -> Iterable[Found]:
    """What follows the job that ended the page before; newer jobs, and changed ones, don't move it."""
    if cursor is None:
        return listed
    jobs = list(listed)
    for place, found in enumerate(jobs):
        if found.id == cursor:
            return jobs[place + 1 :]
    raise invalid('"next" is not a cursor of this list.', "next", source="query")
