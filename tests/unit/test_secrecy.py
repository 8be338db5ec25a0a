"""What is secret is taken out of text and out of what wires record; what is not stays."""

from __future__ import annotations

import pytest

from harness.inputs.known_secrets import concealer, known_secrets
from harness.inputs.load import load_target
from harness.secrecy import Concealer, is_secret_name, is_secret_setting, shown_keys
from tests.running import REFERENCE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://app:hunter2@db:5432/app refused", "postgresql+psycopg://app:***@db:5432/app refused"),
        ("redis://:p%40ss@127.0.0.1:6379/0", "redis://:***@127.0.0.1:6379/0"),
        ("amqp://guest:a@b@host/", "amqp://guest:***@host/"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=Basic ***"),
        ("password=hunter2 user=app", "password=*** user=app"),
        ('{"db_password": "hunter2", "n": 1}', '{"db_password": "***", "n": 1}'),
        ("{'api_key': 'abc', 'x': 2}", "{'api_key': '***', 'x': 2}"),
        ("API-KEY: abc", "API-KEY: ***"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "AWS_SECRET_ACCESS_KEY=***"),
        ("used AKIAIOSFODNN7EXAMPLE today", "used *** today"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def", "jwt ***"),
        # what is no secret
        ("http://127.0.0.1:8000/jobs?key=1", "http://127.0.0.1:8000/jobs?key=1"),
        ("job 12 of tenant acme took 3 tokens of time", "job 12 of tenant acme took 3 tokens of time"),
        ("KeyError: 'shots'", "KeyError: 'shots'"),
        ("ended with 3 before it was ready", "ended with 3 before it was ready"),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert Concealer().text(text) == shown
    assert Concealer().text(shown) == shown  # said twice, nothing changes


def test_known_values_in_any_lane() -> None:
    conceal = Concealer(["alice{n}-1", "hunter2", "abc", ""])
    assert conceal.text("alice-1 alice-17-1 alice-x hunter2 hunter22 abc") == "*** *** alice-x *** hunter22 abc"
    assert Concealer([]).text("alice-1") == "alice-1"


def test_a_targets_own_secrets() -> None:
    target = load_target(REFERENCE)
    known = known_secrets(target)
    assert {"a-key", "alice{n}-1", "alice-1", "beth-1"} <= known
    assert not {"acme", "acme{n}", "alice", "peer", "0.05", ""} & known
    assert concealer(target).text("401 for token bob-3-2: a-key") == "401 for token ***: ***"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("jobs:id=7", True),
        ("jobs:idempotency_key=k-1", True),
        ("jobs:digest=" + "a" * 64, True),
        ("leases:fence_token=12", True),
        ("jobs:key", True),
        ("queue:jobs", True),
        ("users:password_hash=$2b$12$abc", False),
        ("users:password=123456", False),
        ("sessions:token=abcdef", False),
        ("people:api_key=abc", False),
        ("people:note=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", False),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", False),
        ("people:aws=AKIAIOSFODNN7EXAMPLE", False),
    ],
)
def test_keys_of_wires(key: str, shown: bool) -> None:
    assert shown_keys([key, "a:b=1"]) == ((key, "a:b=1") if shown else ("a:b=1",))


def test_names() -> None:
    assert all(map(is_secret_name, ("Authorization", "X-Api-Key", "cookie", "DB_PASSWORD", "client_secret")))
    assert not any(map(is_secret_name, ("key", "idempotency_key", "tenant", "id", "hash")))
    assert all(map(is_secret_setting, ("AUDIT_KEY", "DB_PASS", "SENTRY_DSN", "KEY")))
    assert not any(map(is_secret_setting, ("KEY_TTL_S", "BACKEND_URL", "MONKEY", "POLL_S")))
