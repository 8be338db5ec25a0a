"""A target in one process, stdlib only: jobs in a file, done at once. Its log tells deeds, its answers the time."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Clerk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        jobs = read()
        if self.path == "/health":
            self.answer(200, {})
        elif (job := self.path.rpartition("/")[2]) in jobs:
            self.answer(
                200, {"id": job, "state": "done", "by": jobs[job], "at": time.time(), "home": os.environ["HOME"]}
            )
        else:
            self.answer(404, {})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        asked = json.loads(self.rfile.read(length) or b"{}")
        if self.path == "/reset":
            FILE.write_text("{}")
            print("reset", flush=True)
            self.answer(200, {})
            return
        if asked.get("shots") == 13:
            os._exit(3)
        jobs = read()
        job = f"j{len(jobs) + 1}"
        FILE.write_text(json.dumps({**jobs, job: self.headers.get("authorization", "")}))
        print(f"took {job}", flush=True)
        self.answer(201, {"id": job, "state": "done", "at": time.time()})

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Only what it does is logged."""


def read() -> dict[str, str]:
    jobs: dict[str, str] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return jobs


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    given = parser.parse_args()
    FILE = given.file
    print("up", file=sys.stderr, flush=True)
    ThreadingHTTPServer(("127.0.0.1", given.port), Clerk).serve_forever()
