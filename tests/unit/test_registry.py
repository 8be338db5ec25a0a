"""A family is a package: a member is known the moment its file exists."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.errors import ContractBroken

Write = Callable[..., str]
BASE = "from tests.unit.test_registry import Base\n"


class Base:
    """What members derive from."""

    name = ""


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a package of modules, and gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = f"family_{tmp_path.name}".replace("-", "_")

    def write(**modules: str) -> str:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        for name, text in modules.items():
            (tmp_path / package / f"{name}.py").write_text(text)
        return package

    yield write
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        del sys.modules[name]


def member(name: str, cls: str = "Member") -> str:
    return BASE + f"class {cls}(Base):\n    name = {name!r}\n"


def test_members_are_found_by_their_files_in_order(family: Write) -> None:
    package = family(zeta=member("z"), alpha=member("a"), _helper=member("hidden"))
    assert list(registry.subclasses(package, Base)) == ["a", "z"]
    assert [m.__name__ for m in registry.modules(package)] == [f"{package}.alpha", f"{package}.zeta"]


def test_one_member_is_had_without_the_others(family: Write) -> None:
    package = family(one=member("one"), broken="import no_such_module\n", _helper=member("hidden"))
    assert registry.names(package) == ("broken", "one")
    assert registry.subclass(package, "one", Base).name == "one"


def test_a_member_is_called_as_its_file(family: Write) -> None:
    package = family(one=member("other"), two=member("two") + member("two", "Twin"), empty="")
    for name in registry.names(package):
        with pytest.raises(ContractBroken, match=f"{name}: not one Base called '{name}'"):
            registry.subclass(package, name, Base)


def test_what_a_module_only_imports_is_no_member_of_it(family: Write) -> None:
    package = family(one=member("one"), two=BASE + "from .one import Member\nclass Plain: name = 'plain'\n")
    assert list(registry.subclasses(package, Base)) == ["one"]


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ({"one": member("same"), "two": member("same")}, "two: a second member called 'same'"),
        ({"one": member("")}, "one: a member without a name"),
    ],
)
def test_a_member_needs_a_name_of_its_own(family: Write, modules: dict[str, str], words: str) -> None:
    package = family(**modules)
    with pytest.raises(ContractBroken, match=words):
        registry.subclasses(package, Base)


def test_objects_are_collected_by_their_key(family: Write) -> None:
    package = family(one="first, second, text = 1.5, 2.5, 'no number'", two="third = 3.5")
    assert dict(registry.instances(package, float, key="real")) == {"1.5": 1.5, "2.5": 2.5, "3.5": 3.5}


def test_the_same_object_in_two_modules_is_one_member(family: Write) -> None:
    package = family(one="value = float('1.5')", two="from .one import value")
    assert list(registry.instances(package, float, key="real")) == ["1.5"]


def test_a_second_object_with_the_same_key_is_refused(family: Write) -> None:
    package = family(one="value = float('1.5')", two="value = float('1.5')")
    with pytest.raises(ContractBroken, match=r"two: a second member called '1\.5'"):
        registry.instances(package, float, key="real")


def test_what_is_handed_out_cannot_be_changed(family: Write) -> None:
    found = registry.subclasses(family(one=member("one")), Base)
    with pytest.raises(TypeError):
        found["two"] = Base  # type: ignore[index]
