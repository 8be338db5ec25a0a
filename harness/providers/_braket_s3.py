"""The slices of S3 and STS that Braket's SDK needs: buckets with objects, XML answers, and errors in their words. Pure.

Left out, and refused as not implemented: multipart uploads, versions, policies, streamed (aws-chunked) bodies. A bucket
belongs to no one tenant; its name is the secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from harness.clock import date_at
from harness.wire import Reply

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: bytes that a client may store in all; a harness is no disk
CAPACITY = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One object of a bucket."""

    body: bytes
    modified_ns: int
    media_type: str = "binary/octet-stream"

    @property
    def etag(self) -> str:
        """As S3 gives it: the MD5 of the body, in quotes."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass
class Buckets:
    """Buckets by name; a bucket that is first written to is made by that."""

    objects: dict[str, dict[str, Stored]] = field(default_factory=dict)
    size: int = 0

    def create(self, bucket: str) -> bool:
        """Make a bucket; False if there is one of that name."""
        fresh: dict[str, Stored] = {}
        return self.objects.setdefault(bucket, fresh) is fresh

    def put(self, bucket: str, key: str, stored: Stored) -> bool:
        """Keep an object; False if there is no room."""
        kept = self.objects.setdefault(bucket, {})
        grown = self.size + len(stored.body) - (len(kept[key].body) if key in kept else 0)
        if grown > CAPACITY:
            return False
        self.size, kept[key] = grown, stored
        return True

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        if (gone := self.objects.get(bucket, {}).pop(key, None)) is not None:
            self.size -= len(gone.body)


def valid_name(bucket: str) -> bool:
    """3 to 63 lower-case letters, digits, dots and hyphens."""
    return _NAME.fullmatch(bucket) is not None


def given(stored: Stored, wanted: str | None, head: bool = False) -> Reply:
    """An object's reply; ``wanted``: its Range header, of one range. HEAD has the headers alone."""
    headers = {
        "content-type": stored.media_type,
        "etag": stored.etag,
        "last-modified": format_datetime(date_at(stored.modified_ns), usegmt=True),
        "accept-ranges": "bytes",
    }
    if head:
        return Reply(200, b"", {**headers, "content-length": str(len(stored.body))})
    span = _span(wanted, len(stored.body))
    if span is None:
        return Reply(200, stored.body, headers)
    if span.start >= span.stop:
        return error(416, "InvalidRange", "The requested range is not satisfiable")
    told = {"content-range": f"bytes {span.start}-{span.stop - 1}/{len(stored.body)}"}
    return Reply(206, stored.body[span.start : span.stop], {**headers, **told})


def _span(wanted: str | None, size: int) -> range | None:
    """The bytes of a Range header; None: it is absent or not one that S3 obeys."""
    if not wanted or (match := _RANGE.fullmatch(wanted)) is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(size - int(match[2]), 0), size)
    return range(int(match[1]), min(int(match[2] or size - 1) + 1, size))


def listing(bucket: str, found: Mapping[str, Stored], query: Mapping[str, str]) -> Reply:
    """ListObjectsV2; ``found``: all objects of the bucket."""
    prefix, after = query.get("prefix", ""), query.get("continuation-token") or query.get("start-after", "")
    limit = int(asked) if re.fullmatch(r"\d{1,9}", asked := query.get("max-keys", "1000"), re.ASCII) else 1000
    keys = sorted(k for k in found if k.startswith(prefix) and k > after)
    page, more = keys[: min(limit, 1000)], len(keys) > min(limit, 1000)
    shown = (lambda k: quote(k, safe="/")) if query.get("encoding-type") == "url" else escape
    parts = [
        f"<Name>{escape(bucket)}</Name><Prefix>{shown(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>",
        f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{'true' if more else 'false'}</IsTruncated>",
    ]
    if query.get("encoding-type") == "url":
        parts.append("<EncodingType>url</EncodingType>")
    if more and page:
        parts.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
    parts += [_content(shown(k), found[k]) for k in page]
    return _xml(200, f'<ListBucketResult xmlns="{_S3}">{"".join(parts)}</ListBucketResult>')


def _content(key: str, stored: Stored) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{iso(stored.modified_ns)}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.body)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def bucket_list(buckets: Sequence[str], owner: str) -> Reply:
    """ListBuckets."""
    items = "".join(f"<Bucket><Name>{escape(b)}</Name><CreationDate>{iso(0)}</CreationDate></Bucket>" for b in buckets)
    told = f"<Owner><ID>{owner}</ID></Owner><Buckets>{items}</Buckets>"
    return _xml(200, f'<ListAllMyBucketsResult xmlns="{_S3}">{told}</ListAllMyBucketsResult>')


def copied(stored: Stored) -> Reply:
    """CopyObject."""
    told = f"<ETag>{escape(stored.etag)}</ETag><LastModified>{iso(stored.modified_ns)}</LastModified>"
    return _xml(200, f'<CopyObjectResult xmlns="{_S3}">{told}</CopyObjectResult>')


def error(status: int, code: str, message: str) -> Reply:
    """An error as S3 says it."""
    return _xml(status, f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>")


def sts_error(status: int, code: str, message: str) -> Reply:
    """An error as STS says it."""
    told = f"<Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    return _xml(status, f'<ErrorResponse xmlns="{_STS}"><Error>{told}</Error></ErrorResponse>')


def identity(account: str, access_key: str) -> Reply:
    """GetCallerIdentity."""
    told = (
        f"<Arn>arn:aws:iam::{account}:user/qharness</Arn><UserId>{escape(access_key)}</UserId>"
        f"<Account>{account}</Account>"
    )
    result = f"<GetCallerIdentityResult>{told}</GetCallerIdentityResult>"
    return _xml(200, f'<GetCallerIdentityResponse xmlns="{_STS}">{result}</GetCallerIdentityResponse>')


def iso(at_ns: int) -> str:
    """A play's time as AWS writes dates."""
    return date_at(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _xml(status: int, body: str) -> Reply:
    return Reply(status, (_HEAD + body).encode(), {"content-type": "application/xml"})
