"""IBM Cloud IAM as far as clients use it: an API key is exchanged for a signed token that expires."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.clock import EPOCH_S, NS_PER_S, Clock
from harness.providers._protocol import Keys
from harness.tellings import Admission

TTL_S = 3600
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


@dataclass(frozen=True, kw_only=True)
class Desk(Keys):
    """Issues tokens for keys, and lets in who carries one that is signed by it and not expired.

    A credential is an Authorization header as it is: ``Bearer <token>``, or ``apikey <key>``, which IBM's client sends
    when it could get no token.
    """

    clock: Clock
    secret: bytes
    ttl_s: int = TTL_S

    def now_s(self) -> int:
        """The second that the wall clock shows."""
        return EPOCH_S + self.clock.now_ns() // NS_PER_S

    def issue(self, key: str) -> dict[str, Any]:
        """IAM's answer to a key that is let in."""
        now_s = self.now_s()
        claims = {
            "iam_id": "IBMid-qharness",
            "sub": hashlib.sha256(key.encode()).hexdigest()[:16],
            "account": {"valid": True, "bss": "qharness"},
            "iss": "https://iam.cloud.ibm.com/identity",
            "grant_type": GRANT,
            "scope": "ibm openid",
            "iat": now_s,
            "exp": now_s + self.ttl_s,
            "key": key,
        }
        return {
            "access_token": self._signed(claims),
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self.ttl_s,
            "expiration": now_s + self.ttl_s,
            "scope": "ibm openid",
        }

    def admit(self, credential: str | None) -> Admission:
        """The honest answer to an Authorization header."""
        scheme, _, value = (credential or "").partition(" ")
        if not value:
            return Admission(granted=False, reason="missing")
        if scheme.lower() == "apikey":
            return super().admit(value)
        claims = self._claims(value) if scheme.lower() == "bearer" else None
        if claims is None:
            return Admission(granted=False, reason="invalid")
        if claims["exp"] <= self.now_s():
            return Admission(granted=False, reason="expired")
        return super().admit(claims["key"])

    def _signed(self, claims: Mapping[str, Any]) -> str:
        head = _text(b'{"alg":"HS256","typ":"JWT"}')
        body = _text(json.dumps(claims, separators=(",", ":")).encode())
        return f"{head}.{body}.{_text(self._mac(f'{head}.{body}'))}"

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        """What a token of this desk says; None: it is none."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_text(self._mac(signed)).encode(), signature.encode(errors="replace")):
            return None
        claims: Mapping[str, Any] = json.loads(_bytes(signed.partition(".")[2]))
        return claims

    def _mac(self, text: str) -> bytes:
        return hmac.new(self.secret, text.encode(errors="replace"), "sha256").digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
