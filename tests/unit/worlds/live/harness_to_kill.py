"""Plays the harness in test_keeper_ends.py: starts what is hard to be rid of, says so, and waits to be killed.

Arguments: "isolated" or "open", and a mark that every process carries in its command line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from harness.worlds.live.keeper import Keeper
from tests.unit.worlds.live.waiting import soon

#: a child that ignores what can be ignored, a grandchild in a session of its own, a daemon that lost its parents
STUBBORN = """
import os, signal, sys, time
for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(signum, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print("daemon", flush=True)
            time.sleep(600)
        os._exit(0)
    os.wait()
    print("grandchild", flush=True)
    time.sleep(600)
print("child", flush=True)
time.sleep(600)
"""


async def main() -> None:
    keeper = await Keeper.start(isolated=sys.argv[1] == "isolated")
    command = [sys.executable, "-c", STUBBORN, sys.argv[2]]
    children = [await keeper.spawn(command, environment={}, folder="/", name=f"{n}") for n in range(2)]
    await soon(lambda: all(len(child.log) == 3 for child in children))
    await children[1].signal(signal.SIGSTOP)
    if len(sys.argv) > 3 and os.fork() == 0:  # a copy of us that holds our sockets
        signal.pause()
    print("up", flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main())
