"""Forks one caller for every cell of the table: imports the SDK once, and every cell still gets a fresh process.

Runs in a client's own environment; standard library only. One JSON object a line on stdin:

    {"cell": "…", "socket": path, "env": {…}, "story": "run", "params": {…}}

The fork connects to the socket and writes JSON lines: {"cell", "pid"}, {"at": stage} …, and at last {"value": …} or
{"error": type, "message": …, "cause": type}, with "warned": what the SDK said beside it.
"""

import importlib.metadata
import json
import logging
import os
import random
import signal
import socket
import sys
import warnings


def serve(stories):
    """Fork until stdin ends; says first which versions there are of the packages named in argv."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "w") as out:
        versions = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
        print(json.dumps({"versions": versions}), file=out, flush=True)
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                _play(asked, stories)
            finally:
                os._exit(0)


class _Words(logging.Handler):
    """What an SDK logs or warns of, one line each."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.say(record.getMessage())

    def say(self, text):
        if len(self.said) < 5:
            self.said.append(str(text).splitlines()[0][:200] if str(text) else "")


def _play(asked, stories):
    os.environ.update(asked["env"])
    # what an SDK draws (jitter, samples) is then the same in every regeneration
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(asked["socket"])
    words = _Words()
    logging.getLogger().addHandler(words)
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: words.say(message)

    def tell(**what):
        connection.sendall(json.dumps(what).encode() + b"\n")

    tell(cell=asked["cell"], pid=os.getpid())
    try:
        answer = {"value": stories[asked["story"]](lambda stage: tell(at=stage), **asked["params"])}
        json.dumps(answer)
    except BaseException as error:  # whatever the SDK raises is the answer
        kind = type(error)
        answer = {"error": kind.__name__, "message": str(error)[:500]}
        if error.__cause__ is not None:
            answer["cause"] = type(error.__cause__).__name__
    tell(**answer, warned=words.said)
    connection.close()
