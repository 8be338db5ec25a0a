"""``python -m targets.reference --port 8000``: serve with the environment's settings.

Or a share of it, next to other processes on the same store: ``--role api``, ``--role worker`` (the setting ROLE).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Mapping

from targets.reference.life import life
from targets.reference.settings import ROLES, Settings


def main() -> None:
    """Parse the command line and serve, or work, until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m targets.reference", description=__doc__)
    parser.add_argument("--role", choices=ROLES, default=os.environ.get("ROLE", "both"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    values = os.environ | {"ROLE": arguments.role}
    if arguments.role == "worker":
        logging.basicConfig(level=logging.WARNING)
        asyncio.run(work(Settings.read(values)))
    else:
        serve(values, arguments.host, arguments.port)


def serve(values: Mapping[str, str], host: str, port: int) -> None:
    """Serve the API until interrupted."""
    # a worker is up sooner without them
    import uvicorn

    from targets.reference.app import factory

    uvicorn.run(factory(values), host=host, port=port, log_level="warning")


async def work(settings: Settings) -> None:
    """Drive jobs until SIGTERM or SIGINT; says ``up`` when it has begun."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with life(settings) as living:
        await living.worker.ready.wait()
        print("up", flush=True)
        await ended.wait()


if __name__ == "__main__":
    main()
