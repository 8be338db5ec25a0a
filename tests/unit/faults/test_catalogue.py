"""What is told of faults: the page, the examples, and that no failure that was seen has been lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.catalogue import describe, descriptions, example, from_text
from harness.catalogue.page import document
from harness.catalogue.seen import KINDS, REPORTS, SEEN, Seen
from harness.errors import UsageProblem
from harness.injection import Fault, build, known_faults
from harness.inputs.documents import parse
from harness.model import FaultUse

DOCS = Path(__file__).parents[3] / "docs"

#: failures reported against real backends, as they were collected in November 2026: every one must have its fault
COLLECTED = """
Queue and status: status call sticks (runtime#317); running for ever, result lost (Qiskit/qiskit#1686); long queue
evicts the inputs (qiskit-ibm-provider#517); running reported while queued (ibmq#662); completed, result never returns
(runtime#509); nulls right after submit (qiskit-api-py#75).
Transport: 504 while polling (qiskit-metapackage#685); one 5xx aborts polling (dwave-cloud-client#324); result fetch not
retried (pyquil#1853); result URL 400 (ibmq#617), expired (azure#553).
Auth: token expires mid-poll (braket-sdk#651, qiboconnection#116); 401 on submit, yet the job appears (runtime#1491).
Submission, limits, cost: 500 and retries give 6 jobs (runtime#1114); 2xx without id gives a duplicate
(QDMI-on-IQM#213); the second submission fails (runtime#708); concurrency cap as HTTP 400 (qiskit-aqua#884); over-limit
instance queues silently (runtime#2453); usage totals disagree (runtime#2270); metadata throttle discards a paid result
(marqov-sdk#135); a queued job can't be cancelled, charged (pyquil#1728); stop ignored while queued
(qiskit-serverless#872); cost shows 0 (braket-examples#299).
Sessions and backend: session lives 7 days (runtime#609); expired session reused (runtime#648); max_time ignored
(runtime#475); retired backend breaks listing (runtime#3012); configuration 404 at start (runtime#190); default
calibration set changed (qiskit-on-iqm#124); wrong calibration published (runtime#1590); shot cap misconfigured
(runtime#1669); valid job rejected (runtime#1979); poll load from 100 ms intervals (runtime#2755); accepts, then fails
inside (braket-sdk#239).
Result: bitstring width varies (runtime#336); 27-bit keys for 3 bits (runtime#241); shots ignored (runtime#239);
rounding loses counts (qiskit-ionq#19, azure#248); re-fetch gives other counts (azure#323); unmeasured qubits overwrite
counts (azure#198); bits reversed in batches only (qiskit-braket-provider#374), after an upgrade (runtime#2904); log
text where JSON belongs (qiskit-ibm-provider#567); empty after an admin kill (runtime#372); part of a batch errored
(qnexus#48); quota failure shown as "no data" (azure#178); failed task gives None (pytket-extensions#333); batch path
drops the noise model (pennylane-braket#176).
Orchestrator: head lost, infinite loop (qiskit-serverless#685); dropped connection leaves "running"
(covalent-ssh-plugin#65).
"""
OWNERS = {
    "runtime": "Qiskit/qiskit-ibm-runtime",
    "ibmq": "Qiskit/qiskit-ibmq-provider",
    "azure": "microsoft/azure-quantum-python",
    "braket-sdk": "amazon-braket/amazon-braket-sdk-python",
    "braket-examples": "amazon-braket/amazon-braket-examples",
    "pennylane-braket": "amazon-braket/amazon-braket-pennylane-plugin-python",
}

#: what chaos tools disturb at the layers of a backend → our line for it
DISTURBED = {
    "delay before the effect": "delay before the effect",
    "delay after the effect": "delay after the effect",
    "effect done, response lost": "effect done, response lost",
    **{f"{s}": f"status {s}" for s in (408, 409, 425, 429, 500, 502, 503, 504)},
    **{f"Retry-After {w}": f"Retry-After {w}" for w in ("absent", "huge", "date", "garbage")},
    "slow headers": "slow headers",
    "slow body": "slow body",
    "truncated JSON": "truncated JSON",
    "wrong content type": "wrong content type",
    "wrong content length": "wrong content length",
    "duplicate delivery": "duplicate delivery",
    "stale cache": "stale cache",
    "valid by schema but wrong": "valid by its schema but wrong",
    "duplicate submit": "duplicate submit",
    "accepted but unlisted": "accepted but unlisted",
    "lost id": "lost id",
    "stuck queued": "stuck queued",
    "stuck running": "stuck running",
    "illegal transition": "illegal transition",
    "backward transition": "backward transition",
    "skipped transition": "skipped transition",
    "unknown status": "unknown status",
    "done before the payload": "done before the payload",
    "cancel/complete race": "cancel and completion cross",
    "cancel ignored": "a stop is ignored while queued",
    "queue position going up": "queue position going up",
    "session evicted": "session evicted",
    "maintenance": "maintenance",
    "retired backend": "retired backend",
    "calibration changed in between": "calibration changed in between",
    "partial batch": "partial batch",
    "region changed": "region changed",
    "firmware changed": "firmware changed",
    "shots other than requested": "shots other than requested",
    "counts that don't sum": "counts that don't sum",
    "reversed bit order": "reversed bit order",
    "wrong register width": "wrong register width",
    "negative quasi-probabilities": "negative quasi-probabilities",
    "NaN": "NaN",
    "another job's result": "another job's result",
    "stale calibration": "stale calibration",
    "noise step": "noise step",
    "noise drift": "noise drift",
    "dead qubit": "dead qubit",
    "readout flip": "readout flip",
    "metadata lost": "metadata lost",
    "a simulator posing as hardware": "a simulator posing as hardware",
    "expiry mid-job": "expiry in the midst of a job",
    "rotation with the old key cached": "rotation with the old key cached",
    "the issuer's outage": "issuer of tokens out",
    "scope lost": "scope lost",
    "wrong tenant": "wrong tenant",
    "refuse": "connections refused",
    "black hole": "a black hole",
    "reset before response": "a reset before the response",
    "reset mid response": "a reset in the midst of the response",
    "half-open": "a half-open connection",
    "slow close": "a slow close",
    "bandwidth": "little bandwidth",
    "slicing": "slicing",
    "byte limit": "a limit of bytes",
    "latency": "latency with jitter",
    "TLS expiry": "an expired TLS certificate",
    "asymmetric partition": "an asymmetric partition",
}


def _yaml(text: str) -> Any:
    """As this project reads YAML: ``on`` is a word."""
    return parse(text, "example.yaml").plain()


every_seen = pytest.mark.parametrize("seen", SEEN, ids=[s.what for s in SEEN])


def test_the_page_is_up_to_date() -> None:
    current = (DOCS / "faults.md").read_text() == document()
    assert current, "run: python -m harness.catalogue.page > docs/faults.md"


def test_every_example_of_the_page_is_a_use() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", document(), re.DOTALL)
    assert len(blocks) == len(known_faults())
    for item in (i for b in blocks for i in _yaml(b)):
        build(FaultUse(fault=item) if isinstance(item, str) else FaultUse(**item))


def test_no_report_was_lost() -> None:
    """Each that was collected has a fault with settings, and the fault names it as its evidence; more are welcome."""
    collected = re.findall(r"([\w./-]+)#(\d+)", COLLECTED)
    ours = {r.rpartition("/")[2] if r.split("#")[0] not in OWNERS.values() else r for s in REPORTS for r in s.reports}
    wanted = {f"{OWNERS.get(repo, repo.rpartition('/')[2])}#{number}" for repo, number in collected}
    assert len(collected) == 52
    assert wanted - ours == set(), "each has a line in harness/catalogue/seen.py"


@every_seen
def test_what_was_seen_can_be_played(seen: Seen) -> None:
    """Its fault and settings exist; its reports are the fault's evidence."""
    build(FaultUse(fault=seen.fault, params=seen.params))
    untold = set(seen.reports) - set(known_faults()[seen.fault].evidence)
    assert not untold, f"name it in the evidence of harness/faults/{seen.fault}.py"


def test_every_kind_that_chaos_tools_know_is_there() -> None:
    ours = {s.what for s in SEEN}
    assert {kind: line for kind, line in DISTURBED.items() if line not in ours} == {}
    assert len({s.what for s in KINDS}) == len(KINDS)


def test_what_was_seen_has_its_settings() -> None:
    """A fault that names evidence shows with which settings it reproduces it; others need no line."""
    proven = {name for name, kind in known_faults().items() if kind.evidence}
    lacking = sorted(proven - {s.fault for s in SEEN})
    assert not lacking, f"a line in harness/catalogue/seen.py for {lacking}: what was seen, and the settings that do it"


def test_descriptions_say_it_all() -> None:
    """As text, and as JSON."""
    told = {d.name: d for d in descriptions()}
    assert set(told) == set(known_faults())
    for name, kind in known_faults().items():
        assert [p.name for p in (*told[name].own, *told[name].envelope)] == [p.name for p in told[name].parameters]
        assert {p.name for p in told[name].parameters} == set(kind.settings())
        assert {p.name for p in told[name].envelope} == set(Fault.settings())
        assert told[name].summary.endswith((".", ":"))
        assert json.loads(json.dumps(told[name].plain()))["parameters"]


def test_examples_are_yaml() -> None:
    params = {"on": ["submit"], "where": "body.shots > 1", "way": "no", "factor": 0.5, "same": True, "what": ""}
    (item,) = _yaml(example("noop", params))
    assert item == {"fault": "noop", "params": params}
    assert _yaml(example("noop", {})) == ["noop"]


@pytest.mark.parametrize(
    ("fault", "name", "text", "value"),
    [
        ("http_error", "status", "503", 503),
        ("http_error", "on", "submit,status", ("submit", "status")),
        ("http_error", "when", "after", "after"),
        ("latency", "spread", "1", 1),
        ("latency", "samples_ms", "[1, 2.5]", (1, 2.5)),
        ("reply_cut", "reset", "true", True),
        ("state_told", "told", "on_hold", "on_hold"),
        ("job_failed", "code", "42", "42"),
    ],
)
def test_values_from_a_command_line(fault: str, name: str, text: str, value: object) -> None:
    kind = known_faults()[fault]
    assert from_text(kind, name, text) == value
    build(FaultUse(fault=fault, params={name: value}))


@pytest.mark.parametrize(
    ("fault", "name", "text", "words"),
    [
        ("http_error", "stat", "503", "has no parameter 'stat'; known: .*status"),
        ("http_error", "status", "many", "status must be a whole number, not 'many'"),
        ("http_error", "when", "later", "when must be one of before, after, not 'later'"),
        ("latency", "ms", "-1", "ms must be at least 0"),
        ("noop", "every", "0", "every must be at least 1"),
        ("noop", "probability", "1.5", "probability must be at most 1"),
        ("noop", "probability", "nan", "probability must be finite, not 'nan'"),
        ("http_error", "status", "0", "status must be at least 400, not '0'"),
        ("http_error", "status", "204", "status must be at least 400"),
        ("poll_error", "status", "9999", "status must be at most 599"),
        ("submit_error", "status", "100", "status must be at least 400"),
        ("wrong_result", "shots", "-5", "shots must be at least 1"),
        ("wrong_result", "shots", "1000001", "shots must be at most 1000000"),
        ("calibration_told", "factor", "0", "factor must be at least 0.01"),
        ("latency", "samples_ms", "1,-2", "samples_ms has an item that must be at least 0"),
        ("latency", "samples_ms", "1,soon", "samples_ms has an item that must be a number"),
        ("reply_cut", "reset", "maybe", "reset must be true or false"),
    ],
)
def test_wrong_values_are_told_with_what_to_write(fault: str, name: str, text: str, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        from_text(known_faults()[fault], name, text)


def test_a_plan_with_a_wrong_value_is_refused() -> None:
    with pytest.raises(UsageProblem, match="way must be one of"):
        build(FaultUse(fault="wrong_result", params={"way": "sideways"}))


def test_noop_has_the_envelope_alone() -> None:
    assert describe(known_faults()["noop"]).own == ()
