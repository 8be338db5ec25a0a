"""``python -m targets.reference --port 8000``: serve with the environment's settings."""

from __future__ import annotations

import argparse

import uvicorn

from targets.reference.app import from_environment


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m targets.reference", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    uvicorn.run(from_environment(), host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
