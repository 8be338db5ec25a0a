"""Lanes: other names for every play; files that extend files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import FileProblem, UsageProblem
from harness.inputs import documents
from harness.inputs.extending import extended
from harness.inputs.lanes import every_lane, laned, laned_actor
from harness.inputs.target import Actor, Credential


def test_every_text_is_of_its_lane() -> None:
    assert laned({"a{n}": ["b{n}", 1, None, {"c": "{n}{n}"}]}, "-2") == {"a-2": ["b-2", 1, None, {"c": "-2-2"}]}


def test_an_actor_keeps_its_name_and_abilities() -> None:
    actor = Actor(
        name="ann",
        person="ann{n}",
        tenant="acme{n}",
        abilities=("x",),
        credentials=(Credential(headers={"k": "t{n}"}),),
    )
    found = laned_actor(actor, "-7")
    assert (found.name, found.person, found.tenant, found.abilities) == ("ann", "ann-7", "acme-7", ("x",))
    assert found.credentials[0].headers == {"k": "t-7"}


def test_a_list_holds_every_lane_of_what_has_one() -> None:
    text = json.dumps([{"who": "ann{n}"}, {"who": "root"}])
    found = json.loads(every_lane("IDENTITIES", text, ["-1", "-2"]))
    assert found == [{"who": "ann-1"}, {"who": "ann-2"}, {"who": "root"}]


@pytest.mark.parametrize("text", ["ann{n}", '{"who": "ann{n}"}'])
def test_what_can_hold_no_lanes_is_told(text: str) -> None:
    with pytest.raises(UsageProblem, match="IDENTITIES"):
        every_lane("IDENTITIES", text, ["-1"])


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "top.yaml"


def test_a_file_says_in_what_it_differs(tmp_path: Path) -> None:
    top = write(
        tmp_path,
        base="name: base\nkept: {a: 1}\ngone: 1\nlist: [1, 2]\nmap: {b: {x: 1, y: 2}, c: 3}\n",
        top="extends: base.yaml\nname: top\ngone: null\nlist: [3]\nmap: {z: 0, b: {y: 5}}\n",
    )
    found = extended(documents.load(top))
    assert found.plain() == {
        "name": "top",
        "kept": {"a": 1},
        "list": [3],
        "map": {"z": 0, "b": {"x": 1, "y": 5}, "c": 3},
    }
    # processes start in the order of the file: what is added comes first
    assert list(found.members["map"].members) == ["z", "b", "c"]
    # and a mistake is told where it was written
    assert found.members["kept"].place.path.endswith("base.yaml")


@pytest.mark.parametrize(
    ("text", "what"), [("extends: ../x.yaml", "not in this folder"), ("extends: top.yaml", "extend each other")]
)
def test_what_can_not_be_extended_is_told(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(FileProblem, match=what):
        extended(documents.load(write(tmp_path, top=text)))
