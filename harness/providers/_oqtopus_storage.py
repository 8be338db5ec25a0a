"""The object store beside OQTOPUS: presigned forms and links, multipart uploads, zips with one JSON file.

As Amazon S3 does it with signatures of version 2: whoever holds a form or a link needs no token, and one that is
altered or too old is refused. The signing key comes from the double's seed and the tokens that it lets in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from harness.clock import EPOCH_S, NS_PER_S, Clock, date_at
from harness.providers._protocol import Refusal
from harness.seed import stream
from harness.wire import Reply, Request

#: bytes of an upload, and of the JSON in it
MAX_UPLOAD, MAX_JSON = 10_000_000, 20_000_000
#: uploads of jobs that are not submitted yet
_MAX_WAITING, _MAX_WAITING_BYTES = 1_000, 200_000_000
_VALID_S = 3_600
_ACCESS_KEY = "QHARNESSOQTOPUS"
#: what zlib, zipfile and json raise for bytes that are not what they say
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)
_LINE = b"\r\n"


class Storage:
    """Presigned access to objects by key, and the uploads that no job has taken yet."""

    def __init__(self, clock: Clock, seed: int, tokens: Iterable[str] = ()) -> None:
        self._clock = clock
        self._secret = stream(seed, "oqtopus", "storage", *sorted(tokens)).randbytes(32)
        self._uploads: dict[str, bytes] = {}

    def form(self, base: str, key: str) -> dict[str, Any]:
        """Where and with which fields to POST the object of a key, under the base URL of the API."""
        expiry = date_at(self._clock.now_ns() + _VALID_S * NS_PER_S).strftime("%Y-%m-%dT%H:%M:%SZ")
        rules = {"expiration": expiry, "conditions": [{"key": key}, ["content-length-range", 0, MAX_UPLOAD]]}
        policy = base64.b64encode(json.dumps(rules).encode()).decode()
        fields = {"key": key, "AWSAccessKeyId": _ACCESS_KEY, "policy": policy, "signature": self._sign(policy)}
        return {"url": f"{base}/storage", "fields": fields}

    def link(self, base: str, key: str) -> str:
        """A URL to GET the object of a key from."""
        expires = str(self._now_s() + _VALID_S)
        signed = self._sign(f"GET\n{expires}\n{key}")
        query = urlencode({"AWSAccessKeyId": _ACCESS_KEY, "Signature": signed, "Expires": expires})
        return f"{base}/storage/{key}?{query}"

    def check(self, request: Request, key: str) -> None:
        """Whether a GET came by a link of ours, in time; raises Refusal."""
        expires = request.query.get("Expires", "")
        if not self._signed(request.query.get("Signature", ""), f"GET\n{expires}\n{key}"):
            raise storage_refusal(403, "SignatureDoesNotMatch", "The request signature does not match.")
        if int(expires) < self._now_s():
            raise storage_refusal(403, "AccessDenied", "Request has expired")

    def accept(self, request: Request) -> None:
        """Take the upload of a form of ours, in time; raises Refusal. A second one replaces the first."""
        fields = multipart(request)
        key = fields.get("key", b"").decode(errors="replace")
        policy = fields.get("policy", b"").decode(errors="replace")
        if not self._signed(fields.get("signature", b"").decode(errors="replace"), policy):
            raise storage_refusal(403, "SignatureDoesNotMatch", "The request signature does not match.")
        self._obey(json.loads(base64.b64decode(policy)), key)
        if "file" not in fields:
            raise storage_refusal(400, "InvalidArgument", "POST requires exactly one file upload per request.")
        if len(fields["file"]) > MAX_UPLOAD:
            raise storage_refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        self._keep(key, fields["file"])

    def look(self, key: str) -> bytes | None:
        """The upload of a key; None if there is none."""
        return self._uploads.get(key)

    def forget(self, key: str) -> None:
        """Its job has taken the upload, or has been given up."""
        self._uploads.pop(key, None)

    def _obey(self, rules: Mapping[str, Any], key: str) -> None:
        if datetime.fromisoformat(rules["expiration"]) < date_at(self._clock.now_ns()):
            raise storage_refusal(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
        if rules["conditions"][0] != {"key": key}:
            raise storage_refusal(403, "AccessDenied", "Invalid according to Policy: Policy Condition failed")

    def _keep(self, key: str, content: bytes) -> None:
        self._uploads.pop(key, None)
        self._uploads[key] = content
        while len(self._uploads) > _MAX_WAITING or sum(map(len, self._uploads.values())) > _MAX_WAITING_BYTES:
            del self._uploads[next(iter(self._uploads))]

    def _now_s(self) -> int:
        return EPOCH_S + self._clock.now_ns() // NS_PER_S

    def _sign(self, text: str) -> str:
        return base64.b64encode(hmac.digest(self._secret, text.encode(), hashlib.sha256)).decode()

    def _signed(self, signature: str, text: str) -> bool:
        return hmac.compare_digest(signature.encode(), self._sign(text).encode())


def storage_refusal(status: int, code: str, message: str) -> Refusal:
    """A refusal by the store: S3's code is its detail."""
    return Refusal(status, message, code)


def storage_error(status: int, code: str, message: str) -> Reply:
    """An error as S3 writes it."""
    text = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Reply(status, body, {"content-type": "application/xml"})


def multipart(request: Request) -> dict[str, bytes]:
    """The fields of a multipart/form-data body, the first of each name (RFC 7578); raises Refusal."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    found = re.search(r'boundary="?([^\s";,]{1,200})"?', parameters)
    if kind.strip().lower() != "multipart/form-data" or found is None:
        raise storage_refusal(
            412, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data"
        )
    parts = (_LINE + request.body).split(_LINE + b"--" + found[1].encode())
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise storage_refusal(400, "MalformedPOSTRequest", "The body of your POST request is not well-formed.")
    fields: dict[str, bytes] = {}
    for part in parts[1:-1]:
        head, _, content = part.partition(_LINE * 2)
        if named := re.search(rb'[; ]name="([^"]*)"', head):
            fields.setdefault(named[1].decode(errors="replace"), content)
    return fields


def zipped(name: str, value: object) -> bytes:
    """A value as JSON in a zip; the same value gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(f"{name}.json")
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, json.dumps(value, sort_keys=True))
    return packed.getvalue()


def unzipped(packed: bytes) -> Any:
    """The value of the one JSON file in a zip; raises ValueError, also for one that unfolds beyond MAX_JSON."""
    try:
        content = _unfolded(packed)
    except _BROKEN_ZIP as error:
        raise ValueError(f"not a zip: {error}") from None
    if content is None:
        raise ValueError("not a zip of one deflated file")
    if len(content) > MAX_JSON:
        raise ValueError(f"it unfolds to more than {MAX_JSON} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _unfolded(packed: bytes) -> bytes | None:
    """The one file's content, up to just beyond the limit: what the directory says of its size may be a lie."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        entries = archive.infolist()
        if len(entries) != 1 or entries[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return None
        with archive.open(entries[0]) as file:
            return file.read(MAX_JSON + 1)
