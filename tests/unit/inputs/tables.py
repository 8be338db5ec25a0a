"""Golden tables of messages: a good file, one change a block, and the exact message that the change gives.

A block is lines that go (``< ``), lines that come (``> ``), then the message; blocks are apart by an empty line.
After a deliberate change of words: ``python -m tests.unit.inputs.tables`` writes the tables anew; read the diff.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

from harness.errors import FileProblem
from harness.inputs.load import load_plan, load_scenario, load_target

FILES = Path(__file__).parent / "files"
LOADERS: dict[str, Callable[[str], Any]] = {
    "target": load_target,
    "scenario": load_scenario,
    "plan": load_plan,
}


@dataclass(frozen=True)
class Case:
    """One change of a good file."""

    loader: str
    old: str
    new: str
    message: str

    def __str__(self) -> str:
        return self.message.partition("\n")[0]

    def changed(self) -> str:
        """The good file with the change."""
        text = (FILES / f"{self.loader}.yaml").read_text()
        assert self.old in text, f"the good file has no {self.old!r}"
        return text.replace(self.old, self.new, 1)

    def block(self, message: str) -> str:
        """The case as the table has it, with a message."""
        gone = "".join(f"< {line}\n" for line in self.old.splitlines())
        come = "".join(f"> {line}\n" for line in self.new.splitlines())
        return f"{gone}{come}{message}\n"


def cases(loader: str) -> Iterator[Case]:
    """The cases of a table."""
    for block in (FILES / f"{loader}_problems.txt").read_text().split("\n\n"):
        lines = block.strip("\n").split("\n")
        old = [line[2:] for line in lines if line.startswith("< ")]
        new = [line[2:] for line in lines if line[:2] in ("> ", ">")]
        message = [line for line in lines if not line.startswith(("<", ">"))]
        yield Case(loader, "\n".join(old), "\n".join(new), "\n".join(message))


def message_of(case: Case) -> str:
    """What the loader says of the changed file, called ``file.yaml``."""
    with tempfile.TemporaryDirectory() as folder, chdir(copytree(FILES, folder, dirs_exist_ok=True)):
        Path("file.yaml").write_text(case.changed())
        try:
            LOADERS[case.loader]("file.yaml")
        except FileProblem as problem:
            return str(problem)
    return "no problem"


if __name__ == "__main__":
    for name in LOADERS:
        blocks = [case.block(message_of(case)) for case in cases(name)]
        (FILES / f"{name}_problems.txt").write_text("\n".join(blocks))
