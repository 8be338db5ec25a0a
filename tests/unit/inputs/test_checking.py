"""check(): all that is wrong with some files, and between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.inputs.load import check, load_target, notes, unchecked
from tests.unit.inputs.tables import FILES

TARGET, SCENARIO, PLAN = (FILES / f"{n}.yaml" for n in ("target", "scenario", "plan"))


def messages(*paths: Path) -> list[str]:
    """The problems, without folders."""
    return [str(p).replace(f"{paths[0].parent}/", "") for p in check(paths)]


def test_several_mistakes_are_all_told(tmp_path: Path) -> None:
    """One in each part of a file does not hide the others."""
    text = TARGET.read_text().replace("openapi: openapi.yaml\n", "").replace("operation: getJob", "operation: GET /j")
    for old, new in (("sample.app:factory", "sample"), ("is: accepted", "is: ok"), ("DONE: succeeded", "DONE: x")):
        text = text.replace(old, new, 1)
    path = tmp_path / "target.yaml"
    path.write_text(text)
    told = [m.partition("\n")[0] for m in messages(path)]
    assert told == [
        "target.yaml:2:10: factory: 'sample' names no function",
        "target.yaml:41:27: roles.submit_job.outcomes[1].is: must be one of accepted, replayed, refused, unknown, "
        "not 'ok'",
        "target.yaml:47:14: roles.get_job.request: path:id is nowhere in the path /j",
        "target.yaml:81:50: states.DONE: no state is called 'x'",
        "target.yaml:89:19: variants.defects.file: there is no file defects.yaml",
    ]


def test_good_files_together(tmp_path: Path) -> None:
    """Nothing to say, of any mixture."""
    text = SCENARIO.read_text().replace("must_exercise: [Q1]\n", "")
    (tmp_path / "scenario.yaml").write_text(text)
    assert messages(tmp_path / "scenario.yaml", TARGET) == []
    assert check([SCENARIO, PLAN]) == []
    assert check([]) == []


def test_a_scenario_that_the_target_cannot_satisfy(tmp_path: Path) -> None:
    """Roles, faults and invariants that must be there and can't."""
    scenario, target = tmp_path / "scenario.yaml", tmp_path / "target.yaml"
    text = TARGET.read_text().replace("openapi: openapi.yaml\n", "")
    text = text.replace("operation: getJob", "operation: GET /{id}")
    text = text.replace("  ionq: {setting: BACKEND_URL, url: http://backend.test/v0.4}\n", "")
    target.write_text(text.replace("  defects: {file: defects.yaml, setting: DEFECTS}\n", ""))
    scenario.write_text(SCENARIO.read_text())
    told = messages(scenario, target)
    assert told[0] == (
        "scenario.yaml:17:13: must_fire[0]: latency strikes the service 'backend', "
        "for which target sample has no double"
    )
    assert told[1].startswith("scenario.yaml:16:17: must_exercise[0]: Q1 can't be judged on target sample: it needs ")
    assert "double:backend" in told[1]
    scenario.write_text(SCENARIO.read_text().replace("needs: [submit_job]", "needs: [submit_job, decide]"))
    assert messages(scenario, target) == [
        "scenario.yaml:7:8: needs: target sample does not bind decide, so it would be skipped"
    ]
    scenario.write_text(SCENARIO.read_text().replace("roles: [submit_job, get_job]", "roles: [decide]"))
    assert messages(scenario, target)[0] == "scenario.yaml:8:8: roles: target sample binds none of these roles"


def test_a_plan_against_a_target() -> None:
    """Roles and actors that the target lacks."""
    told = messages(PLAN, TARGET)
    assert [t.partition("\n")[0] for t in told] == [
        "plan.yaml:17:20: plan.steps[2].do: target sample does not bind cancel_job"
    ]
    assert "\n  Known: get_job, " in told[0]


def test_what_could_not_be_checked_is_told(tmp_path: Path) -> None:
    """A document that the running target serves; files with problems have no notes."""
    path = tmp_path / "target.yaml"
    text = TARGET.read_text().replace("operation: getJob", "operation: GET /{id}")
    (tmp_path / "defects.yaml").write_text("[]")
    path.write_text(text.replace("openapi: openapi.yaml", "openapi: app:/openapi.json"))
    assert notes([path, tmp_path]) == [
        f"{path}: what its roles say of operations: /openapi.json is served by the running target"
    ]


@pytest.mark.parametrize("text", ["a: 1", "- 1", "text"])
def test_what_is_none_of_them(tmp_path: Path, text: str) -> None:
    """It says what each would have."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert len(check([path])) == 1


def test_what_no_document_confirms(tmp_path: Path) -> None:
    """Notes: a schema that is missing, a document that is missing, one that comes later."""
    assert [n.partition(": ")[2] for n in unchecked(load_target(TARGET))] == [
        "roles.set_quota: PUT /v1/tenants/{tenant}/quota has no schema of its body"
    ]
    text = TARGET.read_text().replace("operation: getJob", "operation: GET /{id}")
    (tmp_path / "defects.yaml").write_text("[]")
    path = tmp_path / "target.yaml"
    path.write_text(text.replace("openapi: openapi.yaml\n", ""))
    assert "names no OpenAPI document" in next(iter(unchecked(load_target(path))))
    path.write_text(text.replace("openapi: openapi.yaml", "openapi: app:/openapi.json"))
    assert "served by the running target" in next(iter(unchecked(load_target(path))))
