"""Plan files: what is written is what is read, and it reads well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import FileProblem
from harness.inputs import documents
from harness.inputs.load import PlanMeta, dump_plan, load_plan, locate_target
from harness.inputs.plan_file import read_plan
from harness.inputs.roles import ROLES
from harness.model import FaultUse, Plan, Schedule, Step
from tests.unit.inputs.tables import FILES

VALUES = {
    "int": st.integers(0),
    "number": st.integers(0) | st.floats(0, 1e9),
    "json": st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.floats(0, 1), max_size=3),
}


@st.composite
def plans(draw: Any) -> Plan:
    """Plans whose references point backwards."""
    steps: list[Step] = []
    for n in range(draw(st.integers(0, 5))):
        role = draw(st.sampled_from(list(ROLES.values())))
        params: dict[str, Any] = {}
        for param in role.params:
            if param.refers and steps:
                earlier = draw(st.sampled_from(steps)).id
                params[param.name] = {"from": earlier, "take": param.type}
            elif draw(st.booleans()):
                params[param.name] = draw(VALUES.get(param.type, st.text()))
        steps.append(
            Step(
                id=f"s{n + 1}",
                do=role.name,
                actor=draw(st.text(min_size=1)),
                params=params,
                together=draw(st.booleans()),
                after_ms=draw(st.integers(0, 9999)),
                credential=draw(st.integers(0, 2)),
            )
        )
    seed = draw(st.integers())
    return Plan(
        scenario=draw(st.text()),
        agent=draw(st.text()),
        seed=seed,
        steps=tuple(steps),
        faults=(FaultUse(fault="noop", params={"times": draw(st.integers(0, 3)), "on": ["submit"]}),),
        schedule=draw(st.sampled_from([Schedule(), Schedule(strategy="pct", seed=seed, depth=1)])),
        contract={"quota.shots.limit": 5, "approvals.stages": [{"name": "a", "quorum": 2, "ability": "x"}]},
    )


METAS = st.builds(
    PlanMeta,
    target=st.text(),
    variant=st.text(),
    finding=st.text(),
    observed=st.text(),
    evidence=st.lists(st.integers(0, 99)).map(tuple),
    caps=st.sampled_from([{}, {"timing.settle_s": 2.5}]),
)


@given(plans(), METAS)
def test_round_trip(plan: Plan, meta: PlanMeta) -> None:
    """A plan file holds the whole plan; writing again gives the same text."""
    text = dump_plan(plan, meta)
    again, meta_again = read_plan(documents.parse(text, "plan.yaml"))
    assert (again, meta_again) == (plan, meta)
    assert dump_plan(again, meta_again) == text


def test_it_reads_well() -> None:
    """One step a line, where it fits."""
    plan, meta = load_plan(FILES / "plan.yaml")
    assert dump_plan(plan, meta) == (FILES / "plan.yaml").read_text()


def test_locate_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As written, else beside the plan, else by name, else a message that says where it was sought."""
    plan = tmp_path / "there" / "plan.yaml"
    plan.parent.mkdir()
    plan.write_text((FILES / "plan.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    _, meta = load_plan(plan)
    with pytest.raises(FileProblem, match=r"its target 'target.yaml' is not here\n  Install it there"):
        locate_target(meta, plan)
    (plan.parent / "target.yaml").touch()
    assert locate_target(meta, plan) == plan.parent / "target.yaml"
    named = tmp_path / "targets" / "sample" / "target.yaml"
    named.parent.mkdir(parents=True)
    named.touch()
    assert locate_target(PlanMeta(target="sample"), plan) == Path("targets/sample/target.yaml")
