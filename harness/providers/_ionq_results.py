"""How IonQ v0.4 hands out the results of a job: artifacts by id, and the URLs that clients in use follow.

The document knows artifacts; clients follow ``results.<kind>.url`` (qiskit-ionq, pennylane-ionq) or put together
``…/results/probabilities/aggregated`` (cirq-ionq), so those are here too. Debiasing deals the shots of a circuit out to
variants; that each ran on other ions is told, not simulated: all ions of a device are alike here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from harness.providers._ionq_base import Found, IonQBase
from harness.providers._ionq_compile import compiled
from harness.providers._ionq_formats import (
    AGGREGATE,
    BY_ARTIFACT,
    FORMATS,
    NATIVE,
    Format,
    registers_of,
    sharpened,
    variants_of,
    weights_of,
)
from harness.providers._protocol import Refusal
from harness.seed import stream
from harness.tellings import Admission, Readout, Results
from harness.wire import Reply, Request, Site

_VARIANTS = 5
#: kinds of result that have a URL of their own beside the artifact
_LINKED = ("probabilities", "histogram", "shots")
_OF_VARIANTS = tuple(f for f in FORMATS if f.name.endswith("v2"))
_AVERAGE, _VOTING = "average", "voting"
_NATIVE = "native"


class IonQResults(IonQBase):
    """GET …/results/… and …/artifacts/…"""

    def record_result(self, request: Request, site: Site, reply: Reply) -> None:
        """Record what reached the target as a result. Children count as one, once the last of them is there."""
        run = self.own(site.run)
        if site.operation != "result" or run is None or run.state != "completed" or not run.readouts:
            return
        ids = self._find(request)[1]
        artifact = ids.get("artifact", "probabilities")
        if artifact not in BY_ARTIFACT:
            return
        found = Found(ids["job"], run, run.kept, self._children.get(ids["job"], ("", None))[1])
        honest = [_voted(found, r) if _sharpen(request) else r for r in run.readouts]
        weights = tuple(r.weights for r in honest)
        got = _received(artifact, reply)
        if found.circuit is None:
            self.deliver(run, got, intact=got == weights)
        elif (whole := _gathered(found, got, weights)) is not None:
            self.deliver(run, whole, intact=whole == weights)

    async def _result(self, request: Request, caller: Admission, job: str) -> Reply:
        return await self._artifact(request, caller, job, "probabilities")

    async def _linked(self, request: Request, caller: Admission, job: str, artifact: str) -> Reply:
        if artifact not in _LINKED:
            raise Refusal(404, "Resource not found.")
        return await self._artifact(request, caller, job, artifact)

    async def _artifact(self, request: Request, caller: Admission, job: str, artifact: str) -> Reply:
        found = self.found(job, caller)
        if artifact == _NATIVE and _is_compiled(found):
            circuit = found.entry.job.program.circuits[found.index]
            return Reply.of_json(200, compiled(circuit, "zz" if "forte" in found.run.device.name else "ms"))
        if found.run.state != "completed" or not found.run.readouts:
            raise Refusal(404, "The job has no results yet.")
        told = await self.read(found.run, request)
        if found.is_parent and artifact == "probabilities":
            return _aggregate(found, told, _sharpen(request))
        if found.is_parent or found.index >= len(told.readouts) or told.readouts[found.index].failed:
            raise Refusal(404, "Artifact not found.")
        readout = told.readouts[found.index]
        if artifact in BY_ARTIFACT:
            format_ = _offered(found, BY_ARTIFACT[artifact])
            return _written(found, format_, _voted(found, readout) if _sharpen(request) else readout)
        return _of_variant(found, readout, artifact)


def descriptors(found: Found) -> dict[str, Any]:
    """The ``results`` of a completed job; URLs beside the artifacts are not in the document, but clients need them."""
    if found.is_parent:
        kinds = {AGGREGATE: _descriptor(AGGREGATE, "probabilities")}
        linked: tuple[str, ...] = _LINKED[:1]
    else:
        offered = [f for f in FORMATS if not f.counted or _is_counted(found)]
        kinds = {f.name: _descriptor(f.name, f.artifact) for f in offered}
        linked = _LINKED if _is_counted(found) else _LINKED[:1]
    return {**kinds, **{kind: {"url": f"/v0.4/jobs/{found.id}/results/{kind}"} for kind in linked}}


def output(found: Found) -> dict[str, Any]:
    """The ``output`` of a completed job, dry runs too: the circuit as compiled, and what mitigation did."""
    told: dict[str, Any] = {}
    if _is_compiled(found):
        told["compilation"] = {"compiled_circuits": {NATIVE: _descriptor(NATIVE, _NATIVE)}}
    if found.run.readouts and (mitigated := mitigation(found)):
        told["error_mitigation"] = mitigated
    return told


def mitigation(found: Found) -> dict[str, Any]:
    """``output.error_mitigation`` of a completed job that asked for any."""
    asked = found.entry.job.settings.get("error_mitigation", {})
    told: dict[str, Any] = {}
    if "symmetry_verification" in asked:
        told["symmetry_verification"] = {"applied": False}
    if _is_debiased(found) and not found.is_parent:
        told["debiasing"] = {"variants": [_variant(found, i) for i in range(_VARIANTS)], "aggregation_method": _AVERAGE}
        histogram = "ionq.result.histogram.json.v2"
        told["aggregations"] = {kind: _descriptor(histogram, kind) for kind in (_AVERAGE, _VOTING)}
    return told


# ------------------------------------------------------------ what is told


def _is_compiled(found: Found) -> bool:
    """Machines compile; a batch does it child by child."""
    if found.is_parent or found.run.calibration is None or found.run.state != "completed":
        return False
    return found.entry.job.program.compilable[found.index]


def _aggregate(found: Found, told: Results, sharpen: bool) -> Reply:
    """By child; one whose circuit failed is left out. In the order of the circuits: clients go by it, not by ids."""
    pairs = zip(found.entry.children, told.readouts, strict=False)
    read = {child: _voted(found, r) if sharpen else r for child, r in pairs if not r.failed}
    body = {child: {str(k): w for k, w in r.weights.items()} for child, r in read.items()}
    return Reply(200, json.dumps(body, separators=(",", ":")).encode(), {"content-type": "application/json"})


def _written(found: Found, format_: Format, readout: Readout) -> Reply:
    declared = found.entry.job.program.registers[found.index]
    return Reply.of_json(200, format_.encode(readout, registers_of(readout.bits, declared)))


def _offered(found: Found, format_: Format) -> Format:
    if format_.counted and not _is_counted(found):
        raise Refusal(404, "Artifact not found.")
    return format_


def _is_counted(found: Found) -> bool:
    """Ideal simulators give exact probabilities; no shot was drawn."""
    return found.run.calibration is not None or found.entry.job.order.sampled


def _descriptor(name: str, artifact: str) -> dict[str, str]:
    return {"id": artifact, "format": name, "media_type": "application/json"}


# ------------------------------------------------------------ debiasing


def _sharpen(request: Request) -> bool:
    return request.query.get("sharpen", "").lower() == "true"


def _is_debiased(found: Found) -> bool:
    return found.entry.job.debiased and _is_counted(found)


def _voted(found: Found, readout: Readout) -> Readout:
    return sharpened(variants_of(readout, _VARIANTS)) if _is_debiased(found) else readout


def _variant(found: Found, index: int) -> dict[str, Any]:
    rng = stream(found.run.ordinal, "variant", found.index, index)
    identity = str(UUID(int=rng.getrandbits(128), version=4))
    qubits = found.entry.job.program.circuits[found.index].qubits
    return {
        "variant_id": identity,
        "qubit_map": rng.sample(range(found.run.device.qubits), qubits),
        "shots": len(range(index, found.entry.job.order.shots, _VARIANTS)),
        "results": {f.name: _descriptor(f.name, f"{identity}.{f.artifact}") for f in _OF_VARIANTS},
    }


def _of_variant(found: Found, readout: Readout, artifact: str) -> Reply:
    """One variant's own artifact, or an aggregation of all."""
    if not _is_debiased(found):
        raise Refusal(404, "Artifact not found.")
    histogram = BY_ARTIFACT["histogram-v2"]
    if artifact in (_AVERAGE, _VOTING):
        return _written(found, histogram, readout if artifact == _AVERAGE else _voted(found, readout))
    identity, _, kind = artifact.partition(".")
    for index, part in enumerate(variants_of(readout, _VARIANTS)):
        if kind in BY_ARTIFACT and _variant(found, index)["variant_id"] == identity:
            return _written(found, BY_ARTIFACT[kind], replace(part, bits=readout.bits))
    raise Refusal(404, "Artifact not found.")


# ------------------------------------------------------------ what arrived


def _received(artifact: str, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
    if reply.status != 200 or reply.cut_at is not None or reply.declared_body is None:
        return None
    try:
        body = json.loads(reply.declared_body)
    except ValueError:
        return None
    nested = artifact == "probabilities" and isinstance(body, dict) and body
    many = list(body.values()) if nested and all(isinstance(v, dict) for v in body.values()) else [body]
    read = [weights_of(artifact, one) for one in many]
    return tuple(w for w in read if w is not None) if None not in read else None


def _gathered(
    found: Found, got: tuple[Mapping[int, float], ...] | None, weights: tuple[Mapping[int, float], ...]
) -> tuple[Mapping[int, float], ...] | None:
    """All circuits of a run, when this one was the last that its client lacked, or when this one is wrong."""
    fetched = found.entry.fetched
    if not got or got[0] != weights[found.index]:
        return got or ()
    fetched[found.index] = got[0]
    if len(fetched) < len(found.entry.children):
        return None
    return tuple(fetched[i] for i in range(len(found.entry.children)))
