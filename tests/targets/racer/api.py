"""The API, in threads: uvicorn serves each request in one of its own.

uvicorn tests.targets.racer.api:app
"""

from __future__ import annotations

import os

from fastapi import FastAPI, Response

from tests.targets.racer.claims import Claims

app = FastAPI()
claims = Claims(os.environ["RACER_STORE"], os.environ["POLICY_URL"])


@app.post("/claims/{key}")
def claim(key: str) -> Response:
    """At once."""
    return Response(status_code=201 if claims.claim(key) else 409)


@app.post("/orders/{key}")
def order(key: str) -> Response:
    """By a worker."""
    claims.order(key)
    return Response(status_code=202)


@app.get("/claims/{key}")
def told(key: str) -> dict[str, int]:
    """What became of it."""
    return claims.told(key)
