"""The house: who may import whom, which dependency lives where, and how long things may get."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = ("agents", "doubles", "faults", "oracles", "providers", "reporters")

#: external package → the modules of ours that may import it
OWNERS = {
    "cel": {"harness.expressions"},
    "cryptography": {"harness.wires._tls"},
    "click": {"harness.cli", "harness.commands"},
    "faker": {"harness.agents"},
    "greenlet": {"harness.worlds.isolation"},
    "h11": {"harness.worlds.sockets", "harness.wires._http_messages", "harness.wires._http_exchange"},
    "httpcore": {"harness.worlds.live"},
    "httpx": {"harness.worlds.isolation", "harness.commands"},
    "hypothesis": {"harness.agents", "harness.campaign.search", "harness.inputs.drawing"},
    "jinja2": {"harness.reporters.html"},
    "jsonpath": {"harness.inputs.jsonpath"},
    "qiskit": {"harness.backend.aer"},
    "qiskit_aer": {"harness.backend.aer"},
    "rich": {"harness.commands"},
    "schemathesis": {"harness.inputs.drawing"},
    "time_machine": {"harness.worlds.isolation"},
    "yaml": {"harness.inputs.documents"},
}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("harness", include_external_packages=True, cache_dir=None)


def within(module: str, owner: str) -> bool:
    return module == owner or module.startswith(owner + ".")


def test_imports_point_down_only() -> None:
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_every_top_level_module_has_its_layer() -> None:
    layers = (ROOT / ".importlinter").read_text()
    ours = {m.split(".")[1] for m in graph().modules if m.startswith("harness.")}
    assert [m for m in sorted(ours) if f"harness.{m}" not in layers.split()] == []


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_dependency_lives_behind_one_module(package: str) -> None:
    known = package in graph().modules  # one that is only loaded by name has no importer at all
    importers = graph().find_modules_that_directly_import(package) if known else set()
    strays = [m for m in importers if not any(within(m, o) for o in OWNERS[package])]
    assert strays == [], f"{package} is imported by {strays}; go through {sorted(OWNERS[package])}"


@pytest.mark.parametrize("family", FAMILIES)
def test_members_of_a_family_never_import_each_other(family: str) -> None:
    package = f"harness.{family}"
    members = {m for m in graph().find_children(package) if not m.split(".")[-1].startswith("_")}
    crossing = [(a, b) for a in members for b in graph().find_modules_directly_imported_by(a) if b in members]
    assert crossing == []


def test_no_import_cycle() -> None:
    imports = {m: graph().find_modules_directly_imported_by(m) for m in graph().modules if m.startswith("harness")}
    assert cyclic(imports) == []


def cyclic(imports: dict[str, set[str]]) -> list[str]:
    """Modules from which an import path leads back to themselves."""

    def reached(start: str) -> set[str]:
        todo, seen = list(imports.get(start, ())), set()
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(imports.get(module, ()))
        return seen

    return sorted(m for m in imports if m in reached(m))


def sources() -> list[Path]:
    return sorted((ROOT / "harness").rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_budgets(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 500, f"{path}: a module of more than 500 lines; split it by job"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 70, f"{path}:{node.lineno}: {node.name} has {length} lines; split it"


def test_lint_and_types() -> None:
    tools = Path(sys.executable).parent
    for command in (["ruff", "check", "--no-cache", "."], ["ruff", "format", "--no-cache", "--check", "."], ["mypy"]):
        argv = [str(tools / command[0]), *command[1:]]
        ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout[-3000:]}"


def test_no_registry_host_anywhere() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    hosts = ("py" + "pi.org", "python" + "hosted.org", "registry." + "npmjs", "deb." + "debian.org")
    for name in tracked.splitlines():
        path = ROOT / name
        if path.is_file():
            text = path.read_text(errors="ignore")
            assert not any(h in text for h in hosts), f"{name} names a package registry's host"
