"""The Braket protocol on a virtual loop: tasks, results in S3, devices, and everything it refuses."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from harness.facts import ResultDelivered, RunAccepted, RunEnded
from harness.model import FaultUse
from harness.providers.braket import DEFINITE, Braket
from harness.wire import Reply, Request
from tests.unit.backend.scene import Scene, play

BELL = "OPENQASM 3.0;\nbit[2] b;\nqubit[2] q;\nh q[0];\ncnot q[0], q[1];\nb[0] = measure q[0];\nb[1] = measure q[1];"
SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"


def signed(key: str = "AKID", region: str = "us-east-1", service: str = "braket") -> dict[str, str]:
    """Headers of a signed request; nobody checks the signature."""
    scope = f"{key}/20260101/{region}/{service}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"}


def program(source: str = BELL, **more: Any) -> dict[str, Any]:
    """An action."""
    return {"braketSchemaHeader": {"name": "braket.ir.openqasm.program", "version": "1"}, "source": source, **more}


def program_set(*programs: dict[str, Any]) -> dict[str, Any]:
    """A set of actions."""
    header = {"name": "braket.ir.openqasm.program_set", "version": "1"}
    return {"braketSchemaHeader": header, "programs": list(programs)}


def order(action: object = None, device: str = SV1, shots: int = 100, token: str = "t", **more: Any) -> dict[str, Any]:
    """A body of CreateQuantumTask."""
    return {
        "clientToken": token,
        "deviceArn": device,
        "shots": shots,
        "outputS3Bucket": "amazon-braket-lab",
        "outputS3KeyPrefix": "tasks",
        "action": json.dumps(action if action is not None else program()),
        **more,
    }


class Lab:
    """A double and shorthands for what clients ask it."""

    def __init__(self, scene: Scene, **options: Any) -> None:
        self.scene, self.double = scene, Braket.make(scene.south, options)

    async def send(self, method: str, target: str, body: object = None, **who: str) -> Reply:
        return await self.scene.send(self.double, method, target, body, signed(**who))

    async def ask(self, method: str, target: str, body: object = None, **who: str) -> Any:
        reply = await self.send(method, target, body, **who)
        assert reply.status in {200, 201}, reply.body
        return json.loads(reply.body)

    async def create(self, *args: Any, **kwargs: Any) -> str:
        arn: str = (await self.ask("POST", "/quantum-task", order(*args, **kwargs)))["quantumTaskArn"]
        return arn

    async def task(self, arn: str, query: str = "", **who: str) -> Any:
        return await self.ask("GET", f"/quantum-task/{quote(arn, safe='')}{query}", **who)

    async def until(self, arn: str, *states: str) -> Any:
        for _ in range(10_000):
            told = await self.task(arn)
            if told["status"] in (states or ("COMPLETED", "FAILED", "CANCELLED")):
                return told
            await self.scene.clock.sleep_ms(100)
        raise AssertionError(f"{arn} did not end")

    async def result(self, arn: str) -> Reply:
        told = await self.task(arn)
        return await self.send(
            "GET", f"/{told['outputS3Bucket']}/{told['outputS3Directory']}/results.json", service="s3"
        )

    async def devices(self, **who: str) -> list[Any]:
        found: list[Any] = (await self.ask("POST", "/devices", {"filters": []}, **who))["devices"]
        return found


def error(reply: Reply) -> tuple[int, str]:
    """Status and type of a refusal."""
    return reply.status, reply.headers.get("x-amzn-errortype", "")


def xml_error(reply: Reply) -> tuple[int, str | None]:
    """Status and code of a refusal of S3."""
    return reply.status, ET.fromstring(reply.body).findtext("Code")


def lab(act: Callable[[Lab], Awaitable[Any]], *faults: FaultUse, **options: Any) -> Any:
    """Play with a fresh double."""

    async def whole(scene: Scene) -> Any:
        found = Lab(scene, **options)
        try:
            return await act(found)
        finally:
            await found.double.aclose()

    return play(whole, faults)


def counts(body: bytes) -> dict[str, int]:
    """Counts of a results.json."""
    found: dict[str, int] = {}
    for row in json.loads(body)["measurements"]:
        key = "".join(map(str, row))
        found[key] = found.get(key, 0) + 1
    return found


# ------------------------------------------------------------ the life of a task


def test_a_task_goes_through_its_states_and_its_result_is_in_the_bucket() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create(shots=200)
        first = await found.task(arn, "?additionalAttributeNames=QueueInfo")
        assert first["status"] == "CREATED"
        assert first["queueInfo"] == {"queue": "QUANTUM_TASKS_QUEUE", "queuePriority": "Normal", "position": "1"}
        assert xml_error(await found.result(arn)) == (404, "NoSuchKey")
        await found.until(arn, "QUEUED")
        told = await found.until(arn)
        assert told["status"] == "COMPLETED"
        assert told["numSuccessfulShots"] == 200
        assert told["createdAt"] < told["endedAt"]
        assert told["actionMetadata"] == {"actionType": "braket.ir.openqasm.program"}
        assert "queueInfo" not in told
        queue = (await found.task(arn, "?additionalAttributeNames=QueueInfo"))["queueInfo"]
        assert queue["position"] == "None"
        assert "COMPLETED" in queue["message"]
        reply = await found.result(arn)
        seen = counts(reply.body)
        assert set(seen) == {"00", "11"}
        assert sum(seen.values()) == 200
        result = json.loads(reply.body)
        assert result["measuredQubits"] == [0, 1]
        assert result["taskMetadata"]["id"] == arn
        assert result["additionalMetadata"]["action"]["source"] == BELL
        (delivered,) = found.scene.facts(ResultDelivered)
        assert delivered.intact
        (accepted,) = found.scene.facts(RunAccepted)
        assert (accepted.shots, accepted.qubits) == (200, 2)

    lab(act)


def test_bits_follow_the_classical_register_and_qubits_are_told_beside_them() -> None:
    source = "OPENQASM 3.0;\nbit[2] b;\nqubit[4] q;\nx q[3];\ni q[0];\nb[0] = measure q[3];\nb[1] = measure q[0];"

    async def act(found: Lab) -> None:
        arn = await found.create(program(source), shots=5)
        await found.until(arn)
        result = json.loads((await found.result(arn)).body)
        assert result["measuredQubits"] == [3, 0]
        assert result["measurements"] == [[1, 0]] * 5

    lab(act)


def test_the_same_client_token_gives_the_same_task_and_other_parameters_are_refused() -> None:
    async def act(found: Lab) -> None:
        first = await found.create()
        assert await found.create() == first
        assert error(await found.send("POST", "/quantum-task", order(shots=7))) == (400, "ValidationException")
        assert await found.create(token="other") != first
        assert len(found.scene.facts(RunAccepted)) == 2

    lab(act)


def test_a_task_is_cancelled_once() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        path = f"/quantum-task/{quote(arn, safe='')}/cancel"
        told = await found.ask("PUT", path, {"clientToken": "c"})
        assert told == {"quantumTaskArn": arn, "cancellationStatus": "CANCELLING"}
        assert (await found.task(arn))["status"] == "CANCELLED"
        assert error(await found.send("PUT", path, {"clientToken": "c"})) == (409, "ConflictException")
        assert xml_error(await found.result(arn)) == (404, "NoSuchKey")
        assert found.scene.facts(RunEnded)[0].state == "canceled"

    lab(act)


def test_a_failed_task_tells_its_reason_and_has_no_result() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        told = await found.until(arn)
        assert told["status"] == "FAILED"
        assert told["failureReason"]
        assert xml_error(await found.result(arn)) == (404, "NoSuchKey")

    lab(act, FaultUse(fault="job_failed"))


def test_arns_are_found_decoded_and_encoded() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        assert (await found.ask("GET", f"/quantum-task/{arn}"))["quantumTaskArn"] == arn
        assert (await found.task(arn))["quantumTaskArn"] == arn
        assert found.double.site(Request("GET", f"/quantum-task/{quote(arn, safe='')}")).run == arn.rpartition("/")[2]

    lab(act)


# ------------------------------------------------------------ results


def _result_types(*pragmas: str) -> dict[str, Any]:
    lines = "".join(f"#pragma braket result {p}\n" for p in pragmas)
    return program(f"OPENQASM 3.0;\nqubit[2] q;\nh q[0];\ncnot q[0], q[1];\n{lines}")


def test_result_types_are_computed_from_the_shots_that_are_told() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create(_result_types("expectation x(q[0]) @ x(q[1])", "sample x(q[0])"), shots=50)
        await found.until(arn)
        result = json.loads((await found.result(arn)).body)
        expectation, sample = result["resultTypes"]
        assert expectation == {
            "type": {"type": "expectation", "observable": ["x", "x"], "targets": [0, 1]},
            "value": 1.0,
        }
        assert sample["value"] == [1.0 - 2 * row[0] for row in result["measurements"]]
        assert {tuple(row) for row in result["measurements"]} == {(0, 0), (1, 1)}

    lab(act)


def test_exact_results_need_no_shots_and_no_common_basis() -> None:
    async def act(found: Lab) -> None:
        wanted = _result_types("probability", "expectation x(q[0]) @ x(q[1])", "variance z(q[0])")
        arn = await found.create(wanted, shots=0)
        await found.until(arn)
        result = json.loads((await found.result(arn)).body)
        assert "measurements" not in result
        values = [r["value"] for r in result["resultTypes"]]
        assert values[0] == pytest.approx([0.5, 0, 0, 0.5])
        assert values[1:] == pytest.approx([1.0, 1.0])
        assert found.scene.facts(ResultDelivered)[-1].intact

    lab(act)


@pytest.mark.parametrize(
    ("pragmas", "shots"),
    [
        ((), 0),
        (("sample z(q[0])",), 0),
        (("state_vector",), 0),
        (("state_vector",), 10),
        (("expectation x(q[0])", "expectation z(q[0])"), 10),
        (("expectation w(q[0])",), 10),
    ],
)
def test_result_types_that_cannot_be_given_are_refused(pragmas: tuple[str, ...], shots: int) -> None:
    async def act(found: Lab) -> None:
        reply = await found.send("POST", "/quantum-task", order(_result_types(*pragmas), shots=shots))
        assert error(reply) == (400, "ValidationException")
        assert not found.scene.facts(RunAccepted)

    lab(act)


TURN = "OPENQASM 3.0;\ninput float theta;\nbit[1] b;\nqubit[1] q;\nrx(theta) q[0];\nb[0] = measure q[0];"


def test_a_program_set_runs_each_program_with_each_of_its_inputs() -> None:
    async def act(found: Lab) -> None:
        wanted = program_set(program(), program(TURN, inputs={"theta": [0.0, 3.141592653589793]}))
        arn = await found.create(wanted, shots=30)
        told = await found.until(arn)
        assert told["actionMetadata"]["executableCount"] == 3
        assert told["shots"] == 30
        result = json.loads((await found.result(arn)).body)
        bell, turned = result["programResults"]
        assert {tuple(r) for r in bell["executableResults"][0]["measurements"]} == {(0, 0), (1, 1)}
        assert [e["measurements"] for e in turned["executableResults"]] == [[[0]] * 10, [[1]] * 10]
        assert [e["inputsIndex"] for e in turned["executableResults"]] == [0, 1]
        assert result["taskMetadata"]["successfulShots"] == 30
        assert [len(p["executables"]) for p in result["taskMetadata"]["programMetadata"]] == [1, 2]
        assert found.scene.facts(ResultDelivered)[-1].intact

    lab(act)


def test_a_failed_program_set_has_a_result_of_failures() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create(program_set(program(), program()), shots=4)
        assert (await found.until(arn))["status"] == "FAILED"
        result = json.loads((await found.result(arn)).body)
        kinds = [e["failureMetadata"]["category"] for p in result["programResults"] for e in p["executableResults"]]
        assert kinds == ["DEVICE", "DEVICE"]
        assert result["taskMetadata"]["totalFailedExecutables"] == 2

    lab(act, FaultUse(fault="job_failed"))


def test_a_wrong_program_of_a_set_is_named() -> None:
    async def act(found: Lab) -> None:
        wanted = program_set(program(), program("OPENQASM 3.0;\nqubit[1] q;\nwarp q[0];"))
        reply = await found.send("POST", "/quantum-task", order(wanted, shots=4))
        told = json.loads(reply.body)
        assert (reply.status, told["reason"]) == (400, "ProgramSetValidationFailed")
        (failure,) = told["programSetValidationFailures"]
        assert (failure["programIndex"], failure["inputsIndex"]) == (1, 0)
        assert "warp" in failure["errors"][0]

    lab(act)


@pytest.mark.parametrize(
    ("wanted", "shots"),
    [
        (program_set(), 4),
        (program_set(program(), program(), program()), 4),
        (program_set(program(TURN, inputs={"theta": 1.0})), 4),
        (program_set(program(TURN, inputs={"theta": [1.0, 2.0], "phi": [1.0]})), 4),
        (program_set(_result_types("probability")), 4),
        (program_set(program()), 0),
        (program_set(*[program()] * 101), 101),
        (program_set(program(TURN + " " * 5_100, inputs={"theta": [0.0] * 100})), 100),
    ],
)
def test_program_sets_that_are_refused(wanted: dict[str, Any], shots: int) -> None:
    async def act(found: Lab) -> None:
        assert error(await found.send("POST", "/quantum-task", order(wanted, shots=shots))) == (
            400,
            "ValidationException",
        )

    lab(act)


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"clientToken": None}, "ValidationException"),
        ({"clientToken": ""}, "ValidationException"),
        ({"clientToken": 5}, "SerializationException"),
        ({"clientToken": "x" * 65}, "ValidationException"),
        ({"deviceArn": "arn:aws:braket:::device/qpu/acme/anvil"}, "ValidationException"),
        ({"deviceArn": None}, "ValidationException"),
        ({"shots": None}, "ValidationException"),
        ({"shots": -1}, "ValidationException"),
        ({"shots": 10**9}, "ValidationException"),
        ({"shots": "100"}, "SerializationException"),
        ({"shots": True}, "SerializationException"),
        ({"outputS3Bucket": "ab"}, "ValidationException"),
        ({"outputS3Bucket": "no/slash"}, "ValidationException"),
        ({"outputS3KeyPrefix": ""}, "ValidationException"),
        ({"action": "{"}, "ValidationException"),
        ({"action": "[]"}, "ValidationException"),
        ({"action": "null"}, "ValidationException"),
        ({"action": "[" * 100_000}, "ValidationException"),
        ({"action": json.dumps({"braketSchemaHeader": {"name": "braket.ir.jaqcd.program"}})}, "ValidationException"),
        ({"action": json.dumps(program(""))}, "ValidationException"),
        ({"action": json.dumps({**program(), "source": 5})}, "ValidationException"),
        ({"action": json.dumps(program(BELL.replace("h q", "warp q")))}, "ValidationException"),
        ({"action": json.dumps(program(BELL.replace("[2]", "[99]").replace("q[0]", "q[98]")))}, "ValidationException"),
        ({"action": json.dumps(program(TURN))}, "ValidationException"),
        ({"action": json.dumps(program(TURN, inputs={"theta": "x"}))}, "ValidationException"),
        ({"action": json.dumps(program(TURN, inputs=[1]))}, "ValidationException"),
        ({"action": json.dumps(program(TURN, inputs={"theta": 1e999}))}, "ValidationException"),
        ({"deviceParameters": "[]"}, "ValidationException"),
        ({"deviceParameters": 5}, "SerializationException"),
        ({"associations": "x"}, "SerializationException"),
        ({"tags": {"a": 1}}, "SerializationException"),
    ],
)
def test_a_wrong_task_is_refused_and_nothing_runs(change: dict[str, Any], kind: str) -> None:
    async def act(found: Lab) -> None:
        reply = await found.send("POST", "/quantum-task", {**order(), **change})
        assert error(reply) == (400, kind), reply.body
        assert json.loads(reply.body)["message"]
        assert not found.scene.facts(RunAccepted)

    lab(act)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
@pytest.mark.parametrize("target", ["/quantum-task", "/devices", "/quantum-tasks"])
def test_a_broken_body_is_refused(target: str, body: bytes) -> None:
    async def act(found: Lab) -> None:
        assert (await found.send("POST", target, body)).status == 400

    lab(act)


def test_what_is_not_simulated_says_so() -> None:
    async def act(found: Lab) -> None:
        arn = quote("arn:aws:braket:us-east-1:123456789012:job/x", safe="")
        for method, target in (
            ("POST", "/job"),
            ("POST", "/jobs"),
            ("GET", f"/job/{arn}"),
            ("PUT", f"/job/{arn}/cancel"),
            ("POST", "/spending-limit"),
            ("POST", "/spending-limits"),
        ):
            reply = await found.send(method, target, {})
            assert error(reply) == (403, "AccessDeniedException")
            assert b"not simulated" in reply.body

    lab(act)


def test_unknown_tasks_and_devices_are_not_found() -> None:
    async def act(found: Lab) -> None:
        ours = "arn:aws:braket:us-east-1:123456789012:quantum-task/nope"
        assert error(await found.send("GET", f"/quantum-task/{ours}")) == (404, "ResourceNotFoundException")
        theirs = ours.replace("123456789012", "999999999999")
        assert error(await found.send("GET", f"/quantum-task/{theirs}")) == (403, "AccessDeniedException")
        assert error(await found.send("GET", "/quantum-task/nonsense")) == (400, "ValidationException")
        assert error(await found.send("GET", "/device/nonsense")) == (404, "ResourceNotFoundException")

    lab(act)


# ------------------------------------------------------------ callers


def test_callers_need_a_key_and_see_only_their_own() -> None:
    async def act(found: Lab) -> None:
        first = await found.ask("POST", "/quantum-task", order(), key="A")
        second = await found.ask("POST", "/quantum-task", order(), key="B")
        arn = first["quantumTaskArn"]
        assert arn.split(":")[4] != second["quantumTaskArn"].split(":")[4]
        assert (await found.send("GET", f"/quantum-task/{arn}", key="A")).status == 200
        assert error(await found.send("GET", f"/quantum-task/{arn}", key="B")) == (403, "AccessDeniedException")
        listed = await found.ask("POST", "/quantum-tasks", {"filters": []}, key="A")
        assert [t["quantumTaskArn"] for t in listed["quantumTasks"]] == [arn]
        assert error(await found.send("GET", f"/quantum-task/{arn}", key="C")) == (403, "UnrecognizedClientException")
        unsigned = await found.scene.send(found.double, "POST", "/devices", {"filters": []}, {})
        assert error(unsigned) == (403, "MissingAuthenticationTokenException")

    lab(act, keys={"A": "lab", "B": "other"})


def test_denials_of_s3_and_sts_are_in_their_words() -> None:
    async def act(found: Lab) -> None:
        assert xml_error(await found.send("GET", "/b/k", key="C", service="s3")) == (403, "InvalidAccessKeyId")
        assert xml_error(await found.scene.send(found.double, "GET", "/b/k", None, {})) == (403, "AccessDenied")
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        reply = await found.send("POST", "/", body, key="C", service="sts")
        code = ET.fromstring(reply.body).findtext(f"{{{STS}}}Error/{{{STS}}}Code")
        assert (reply.status, code) == (403, "InvalidClientTokenId")

    lab(act, key="A")


def test_who_am_i() -> None:
    async def act(found: Lab) -> None:
        reply = await found.send("POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15", service="sts")
        path = f"{{{STS}}}GetCallerIdentityResult/{{{STS}}}Account"
        assert ET.fromstring(reply.body).findtext(path) == "123456789012"
        assert (await found.send("POST", "/", b"Action=AssumeRole", service="sts")).status == 400
        assert (await found.send("POST", "/", b"\xff", service="sts")).status == 400

    lab(act)


# ------------------------------------------------------------ lists, tags, devices


def test_tasks_are_searched_newest_first_by_pages_and_filters() -> None:
    async def act(found: Lab) -> None:
        arns = [await found.create(token=str(n)) for n in range(3)]
        first = await found.ask("POST", "/quantum-tasks", {"filters": [], "maxResults": 2})
        assert [t["quantumTaskArn"] for t in first["quantumTasks"]] == arns[:0:-1]
        rest = await found.ask("POST", "/quantum-tasks", {"filters": [], "nextToken": first["nextToken"]})
        assert [t["quantumTaskArn"] for t in rest["quantumTasks"]] == arns[:1]
        assert "nextToken" not in rest
        wanted = {"filters": [{"name": "quantumTaskArn", "operator": "EQUAL", "values": [arns[1]]}]}
        assert [
            t["quantumTaskArn"] for t in (await found.ask("POST", "/quantum-tasks", wanted))["quantumTasks"]
        ] == arns[1:2]

    lab(act)


def test_tags_of_a_task() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create(tags={"team": "a"})
        path = f"/tags/{quote(arn, safe='')}"
        await found.ask("POST", path, {"tags": {"run": "1", "team": "b"}})
        assert (await found.ask("GET", path))["tags"] == {"team": "b", "run": "1"}
        await found.ask("DELETE", f"{path}?tagKeys=run&tagKeys=team")
        assert (await found.task(arn))["tags"] == {}
        assert error(await found.send("POST", path, {"tags": {"x": 1}})) == (400, "SerializationException")
        assert error(await found.send("GET", "/tags/nonsense")) == (404, "ResourceNotFoundException")
        assert found.scene.facts(RunAccepted)[0].metadata == {"team": "a"}

    lab(act)


def test_devices_are_listed_by_region_and_described() -> None:
    async def act(found: Lab) -> None:
        everywhere: dict[str, Any] = {}
        for region in ("us-east-1", "us-west-1", "eu-north-1"):
            listed = await found.devices(region=region)
            assert SV1 in [d["deviceArn"] for d in listed]
            for device in listed:
                whole = await found.ask("GET", f"/device/{quote(device['deviceArn'], safe='')}", region=region)
                assert {k: whole[k] for k in device} == device
                capabilities = json.loads(whole["deviceCapabilities"])
                assert capabilities["service"]["shotsRange"][1] > 0
                assert capabilities["paradigm"]["qubitCount"] > 1
                everywhere[device["deviceArn"]] = device["deviceType"]
        assert set(everywhere.values()) == {"QPU", "SIMULATOR"}
        narrowed = {"filters": [{"name": "deviceArn", "values": [SV1]}]}
        assert [d["deviceArn"] for d in (await found.ask("POST", "/devices", narrowed))["devices"]] == [SV1]

    lab(act)


def test_a_device_that_is_offline_takes_no_task() -> None:
    async def act(found: Lab) -> None:
        name = next(d.name for d in found.double.backend.devices if d.simulator)
        found.double.backend.set_online(name, False)
        (told,) = [d for d in await found.devices() if d["deviceArn"] == SV1]
        assert told["deviceStatus"] == "OFFLINE"
        assert error(await found.send("POST", "/quantum-task", order())) == (424, "DeviceOfflineException")

    lab(act)


# ------------------------------------------------------------ S3


def test_objects_are_kept_listed_copied_and_deleted() -> None:
    async def act(found: Lab) -> None:
        assert (await found.send("PUT", "/my-bucket", service="s3")).status == 200
        assert (await found.send("HEAD", "/my-bucket", service="s3")).status == 200
        assert (await found.send("PUT", "/my-bucket/a/b%20c", b"hello", service="s3")).status == 200
        assert (await found.send("GET", "/my-bucket/a/b%20c", service="s3")).body == b"hello"
        listed = await found.send("GET", "/my-bucket?list-type=2&prefix=a/", service="s3")
        assert b"<Key>a/b c</Key>" in listed.body
        head = await found.send("HEAD", "/my-bucket/a/b%20c", service="s3")
        assert (head.body, head.headers["content-length"]) == (b"", "5")
        assert (await found.send("DELETE", "/my-bucket/a/b%20c", service="s3")).status == 204
        assert xml_error(await found.send("GET", "/my-bucket/a/b%20c", service="s3")) == (404, "NoSuchKey")
        missing = await found.send("HEAD", "/my-bucket/a/b%20c", service="s3")
        assert (missing.status, missing.body) == (404, b"")
        assert xml_error(await found.send("GET", "/no-bucket/k", service="s3")) == (404, "NoSuchBucket")
        assert xml_error(await found.send("PUT", "/Bad_Name", service="s3")) == (400, "InvalidBucketName")
        assert xml_error(await found.send("POST", "/my-bucket/k?uploads=", service="s3")) == (501, "NotImplemented")
        assert xml_error(await found.send("GET", "/my-bucket", service="s3")) == (501, "NotImplemented")

    lab(act)


def test_a_bucket_that_is_there_already_is_a_conflict_outside_of_the_first_region() -> None:
    async def act(found: Lab) -> None:
        assert (await found.send("PUT", "/my-bucket", service="s3")).status == 200
        assert (await found.send("PUT", "/my-bucket", service="s3")).status == 200
        again = await found.send("PUT", "/my-bucket", service="s3", region="eu-north-1")
        assert xml_error(again) == (409, "BucketAlreadyOwnedByYou")

    lab(act)


def test_buckets_that_are_named_are_the_only_ones() -> None:
    async def act(found: Lab) -> None:
        assert error(await found.send("POST", "/quantum-task", order())) == (400, "ValidationException")
        await found.create(outputS3Bucket="the-bucket", token="u")
        assert xml_error(await found.send("PUT", "/other/k", b"x", service="s3")) == (404, "NoSuchBucket")

    lab(act, buckets=["the-bucket"])


def test_the_bucket_may_be_in_the_host() -> None:
    async def act(found: Lab) -> None:
        await found.send("PUT", "/my-bucket/k", b"x", service="s3")
        headers = {**signed(service="s3"), "host": "my-bucket.localhost:8000"}
        assert (await found.scene.send(found.double, "GET", "/k", None, headers)).body == b"x"

    lab(act)


def test_results_are_listed_once_they_are_there() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        target = "/amazon-braket-lab?list-type=2"
        assert b"results.json" not in (await found.send("GET", target, service="s3")).body
        await found.until(arn)
        assert b"/results.json</Key>" in (await found.send("GET", target, service="s3")).body

    lab(act)


# ------------------------------------------------------------ what faults find


def test_sites_name_the_operation_and_the_run() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        run = arn.rpartition("/")[2]
        task = await found.task(arn)
        sites = {
            f"/quantum-task/{quote(arn, safe='')}": ("status", run),
            f"/{task['outputS3Bucket']}/{task['outputS3Directory']}/results.json": ("result", run),
            "/other-bucket/results.json": ("other", None),
            "/device/x": ("device", None),
        }
        for path, (operation, about) in sites.items():
            site = found.double.site(Request("GET", path))
            assert (site.operation, site.run) == (operation, about)

    lab(act)


def test_a_result_changed_on_its_way_is_not_intact() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        await found.until(arn)
        await found.result(arn)
        (delivered,) = found.scene.facts(ResultDelivered)
        assert not delivered.intact

    lab(act, FaultUse(fault="truncated_result"))


def test_an_id_that_is_not_told_is_no_arn() -> None:
    async def act(found: Lab) -> None:
        assert await found.ask("POST", "/quantum-task", order()) == {"quantumTaskArn": ""}
        assert (await found.ask("POST", "/quantum-task", order()))["quantumTaskArn"]
        assert len(found.scene.facts(RunAccepted)) == 1

    lab(act, FaultUse(fault="id_lost"))


def test_a_cancellation_may_be_told_and_not_happen() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        await found.ask("PUT", f"/quantum-task/{arn}/cancel", {"clientToken": "c"})
        assert (await found.until(arn))["status"] == "COMPLETED"

    lab(act, FaultUse(fault="cancel_ignored"))


def test_an_error_in_place_of_an_object_is_in_the_words_of_s3() -> None:
    async def act(found: Lab) -> None:
        arn = await found.create()
        await found.until(arn)
        assert xml_error(await found.result(arn)) == (503, "SlowDown")

    lab(act, FaultUse(fault="http_error", params={"on": ["result"], "status": 503}))


def test_errors_have_the_service_s_words() -> None:
    async def act(found: Lab) -> None:
        assert error(found.double.error(429, "slow down", retry_after="3")) == (429, "ThrottlingException")
        assert found.double.error(429, "slow down", retry_after="3").headers["retry-after"] == "3"
        assert error(found.double.error(500, "no")) == (500, "InternalServiceException")
        assert error(found.double.error(418, "no")) == (418, "ValidationException")

    lab(act)


def test_definite_statuses_are_those_of_refusals() -> None:
    assert all(DEFINITE[status] == (400 <= status < 500) for status in DEFINITE)


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def act(found: Lab) -> bytes:
        arn = await found.create(shots=64)
        await found.until(arn)
        return (await found.result(arn)).body

    assert lab(act) == lab(act)
