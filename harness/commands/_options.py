"""Options and arguments that several commands share, and the values they stand for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import UsageProblem

if TYPE_CHECKING:
    from harness.inputs.scenario import Scenario
    from harness.inputs.target import Target

DEFAULT_TARGET = "targets/reference/target.yaml"
DEFAULT_SCENARIOS = "scenarios/smoke"
_PROJECT = Path(__file__).resolve().parents[2]

F = TypeVar("F", bound=Callable[..., Any])


def target_option(help: str = "The pipeline to test, as a target.yaml.") -> Callable[[F], F]:
    """--target FILE."""
    return click.option("--target", "target_path", metavar="FILE", default=None, help=help)


def mode_option() -> Callable[[F], F]:
    """--mode MODE."""
    return click.option(
        "--mode",
        type=click.Choice(["simulated", "live"]),
        default=None,
        help="One process and virtual time, or real processes.  [default: simulated if it can be]",
    )


def out_option() -> Callable[[F], F]:
    """--out DIR."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("reports"),
        show_default=True,
        help="Where runs are stored.",
    )


def format_option(*names: str) -> Callable[[F], F]:
    """--format NAME."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        help="What goes to stdout; json is one document alone.",
    )


class Seconds(click.ParamType[float]):
    """A duration: 90, 60s, 5m, 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a text."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|)", str(value).strip())
        if not match or not float(match[1]):
            self.fail(f"{value!r} is no duration; write for instance 60s, 5m or 1h", param, ctx)
        return float(match[1]) * {"ms": 0.001, "": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[match[2]]


class Ids(click.ParamType[tuple[str, ...]]):
    """Ids separated by commas."""

    name = "ids"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The ids in the order given, each once."""
        if isinstance(value, tuple):
            return value
        return tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", str(value)) if part))


def shipped(path: str) -> str:
    """A path that ships with the project: as it is from the project's folder, else where the project lies."""
    if Path(path).exists() or not (_PROJECT / path).exists():
        return path
    return str(_PROJECT / path)


def find_target(path: str | None, variant: str = "") -> Target:
    """The target of a path (none: the reference pipeline); the variant must be one that it has."""
    from harness.inputs.load import load_target

    target = load_target(path or shipped(DEFAULT_TARGET))
    if variant and variant not in target.variants:
        raise UsageProblem(unknown(variant, "variant", target.variants))
    return target


def find_scenarios(paths: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios of files and folders (none: the smoke scenarios)."""
    from harness.inputs.load import load_scenario

    files = [f for p in paths or (shipped(DEFAULT_SCENARIOS),) for f in _scenario_files(Path(p))]
    return tuple(load_scenario(str(f)) for f in dict.fromkeys(files))


def _scenario_files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(f for f in path.rglob("*") if f.suffix in (".yaml", ".yml"))
    if not files:
        raise UsageProblem(f"{path} holds no scenario; give a folder with *.yaml files in it")
    return files


def unknown(name: str, kind: str, known: Iterable[str]) -> str:
    """A message for a name that isn't there, with the nearest one or a few that are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"no {kind} is called {name!r}; did you mean {near[0]!r}?"
    few = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"no {kind} is called {name!r}; " + (f"known: {few}" if names else f"there is no {kind} at all")
