"""What the target's declared reference functions say, recorded as facts so that oracles stay pure.

A reference function takes (payload, probabilities) and gives the value that a faithful target serves: the ``primary``
one of what the backend really delivered, the ``classical`` one of the payload alone (probabilities is None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.case import Case, NorthCall
from harness.facts import ChangeSeen, ReferenceValue
from harness.inputs.target import Target
from harness.recording import Recorder
from harness.worlds.loading import load_object


class ReferenceRecorder:
    """Records ReferenceValue facts for every job whose inputs are known for certain."""

    def __init__(self, target: Target, recorder: Recorder) -> None:
        self._recorder = recorder
        self._functions: Mapping[str, Callable[[Any, Any], Any]] = {
            path: load_object(name, target.python_path) for path, name in target.reference.items()
        }

    def record_all(self) -> None:
        """One fact for each job and path, and for each intact delivery of its runs."""
        if not self._functions:
            return
        case = Case(self._recorder.history())
        for job in case.job_ids:
            maker = case.maker(job)
            payload = payload_of(case, maker) if maker else None
            if payload is not None:
                self._record(case, job, payload)

    def _record(self, case: Case, job: str, payload: Any) -> None:
        if classical := self._functions.get("classical"):
            value = classical(payload, None)
            self._recorder.record(ReferenceValue(job=job, path="classical", value=value))
        primary = self._functions.get("primary")
        for run in case.runs_of(job) if primary else ():
            for delivery in case.delivered.get(run.id, ()):
                if delivery.intact and primary:
                    value = primary(payload, [dict(p) for p in delivery.probabilities])
                    fact = ReferenceValue(job=job, path="primary", run=run.id, value=value)
                    self._recorder.record(fact)


def payload_of(case: Case, maker: NorthCall) -> Any:
    """The payload a job was made with; None when it can't be told for certain."""
    params = maker.made.params
    if maker.role == "submit_job":
        return params.get("payload")
    if maker.role == "clone_job":
        source = case.maker(str(params.get("job")))
        return payload_of(case, source) if source and source is not maker else None
    written = [
        c
        for c in case.calls("create_change", "revise_change")
        if c.maybe_happened and _change_of(c) == params.get("change")
    ]
    payloads = [c.made.params["payload"] for c in written if "payload" in c.made.params]
    same = all(p == payloads[0] for p in payloads)
    return payloads[0] if payloads and same else None


def _change_of(call: NorthCall) -> str | None:
    seen = call.first(ChangeSeen)
    return seen.change if seen else call.made.params.get("change")
