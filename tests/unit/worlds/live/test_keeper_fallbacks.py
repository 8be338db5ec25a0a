"""Machines that don't permit everything: the keeper does what can be done, and says loudly what can't.

Poverty is made by a user namespace of the test's own, in which the number of some namespaces is limited to none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worlds.live import harness_to_kill
from tests.unit.worlds.live.test_keeper_ends import LIMIT_S, alive, gone_after_s

ROOT = str(Path(__file__).parents[4])
#: nothing is sent: an address of the machine's own loopback network, where nobody listens
PROGRAM = """
import asyncio, dataclasses, json, sys
sys.path.insert(0, sys.argv[1])
from harness.worlds.live.keeper import Keeper

async def main():
    keeper = await Keeper.start()
    child = await keeper.spawn(["sh", "-c", "cat /proc/net/dev | wc -l"], environment={}, folder="/", name="it")
    await child.wait(10)
    print(json.dumps([keeper.isolated, keeper.warning, int(child.log[0])]))
    await keeper.aclose()

asyncio.run(main())
"""


def poor(without: str, *command: str) -> list[str]:
    """A command line that runs a command where there can't be such namespaces; skips where that can't be made."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Ur", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine permits no user namespaces to try it in")
    limits = "".join(f"echo 0 > /proc/sys/user/max_{name}_namespaces; " for name in without.split())
    return [unshare, "-Ur", "sh", "-c", f'{limits} exec "$@"', "sh", *command]


def told(without: str) -> Any:
    command = poor(without, sys.executable, "-c", PROGRAM, ROOT)
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_with_everything() -> None:
    assert told("") == [True, "", 3]  # two lines of headings and the loopback device


def test_without_process_ids_of_its_own() -> None:
    assert told("pid") == [True, "", 3]


@pytest.mark.parametrize("without", ["net", "mnt", "net pid uts user"])
def test_without_a_network_of_its_own(without: str) -> None:
    isolated, warning, _ = told(without)
    assert isolated is False
    assert warning.startswith("NOT ISOLATED, the target can reach")
    assert "run as root, or permit user namespaces" in warning
    assert "\n" not in warning


@pytest.mark.parametrize("without", ["pid", "net"])
def test_a_harness_that_is_killed_leaves_nothing_there_either(without: str) -> None:
    mark = f"mark-{os.getpid()}-poor-{without}"
    command = poor(without, sys.executable, harness_to_kill.__file__, "isolated", mark)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == "up\n"
        assert alive(mark) == 6
        harness.kill()
        assert gone_after_s(mark) < LIMIT_S
