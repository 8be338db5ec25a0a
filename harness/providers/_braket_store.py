"""The object store and the identity service beside Braket: operations of S3 and STS, as the SDK asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

from harness.backend.runs import Backend
from harness.providers import _braket_s3 as s3
from harness.providers import _braket_views as views
from harness.providers._protocol import Protocol, Refusal, Route
from harness.south import South
from harness.tellings import Admission
from harness.wire import Reply, Request


class Store(Protocol):
    """Buckets that clients write to; results of tasks are objects that no one wrote."""

    options: ClassVar[Mapping[str, str]] = {
        **Protocol.options,
        "buckets": "the only S3 buckets that exist; if absent, a bucket is made when it is first written to",
    }
    #: to be a protocol's last: they take any path
    store_routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/", "token", "_sts"),
        Route("GET", "/", "other", "_list_buckets"),
        Route("PUT", "/{bucket}", "other", "_create_bucket"),
        Route("HEAD", "/{bucket}", "other", "_head_bucket"),
        Route("GET", "/{bucket}", "other", "_list_objects"),
        Route("PUT", "/{bucket}/{key*}", "upload", "_put_object"),
        Route("GET", "/{bucket}/{key*}", "result", "_get_object"),
        Route("HEAD", "/{bucket}/{key*}", "other", "_head_object"),
        Route("DELETE", "/{bucket}/{key*}", "other", "_delete_object"),
        Route("POST", "/{bucket}/{key*}", "upload", "_no_multipart"),
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        closed = options.get("buckets")
        self._closed = closed is not None
        self._buckets = s3.Buckets(objects={str(b): {} for b in closed or ()})

    @abstractmethod
    async def produced(self, request: Request, caller: Admission, bucket: str, key: str) -> s3.Stored | None:
        """An object that the service wrote, as it is told; None: there is none."""

    @abstractmethod
    def produced_in(self, caller: Admission, bucket: str, prefix: str) -> Mapping[str, s3.Stored]:
        """All objects that the service wrote to a caller's bucket under a prefix."""

    def credential(self, request: Request) -> str | None:
        """The access key of the signature."""
        found = views.scope(request.headers, request.query)
        return found[0] if found else None

    def region_of(self, request: Request) -> str:
        """The region that the request is signed for."""
        found = views.scope(request.headers, request.query)
        return found[1] if found else views.HOME

    def reserve(self, bucket: str) -> None:
        """The bucket that results go to is there, or made; raises Refusal."""
        if self._closed and bucket not in self._buckets.objects:
            raise Refusal(400, f"Caller doesn't have access to the S3 bucket {bucket}, or it does not exist.")
        self._buckets.create(bucket)

    # ------------------------------------------------------------ operations

    async def _sts(self, request: Request, caller: Admission) -> Reply:
        try:
            form = parse_qs(request.body.decode())
        except ValueError:
            raise Refusal(400, "The body is not a form.", "MalformedInput") from None
        action = form.get("Action", [""])[0]
        if action != "GetCallerIdentity":
            raise Refusal(400, f"Could not find operation {action[:64]} for version 2011-06-15", "InvalidAction")
        return s3.identity(views.account_of(caller.tenant), self.credential(request) or "")

    async def _list_buckets(self, request: Request, caller: Admission) -> Reply:
        return s3.bucket_list(sorted(self._buckets.objects), views.account_of(caller.tenant))

    async def _create_bucket(self, request: Request, caller: Admission, bucket: str) -> Reply:
        if not s3.valid_name(bucket):
            raise Refusal(400, "The specified bucket is not valid.", "InvalidBucketName")
        if not self._buckets.create(bucket) and self.region_of(request) != views.HOME:
            # in its oldest region alone, S3 answers 200 to a bucket that the caller has already
            raise Refusal(409, "Your previous request to create the named bucket succeeded.", "BucketAlreadyOwnedByYou")
        return Reply(200, b"", {"location": f"/{bucket}"})

    async def _head_bucket(self, request: Request, caller: Admission, bucket: str) -> Reply:
        self._bucket(bucket)
        return Reply(200, b"", {"x-amz-bucket-region": views.HOME})

    async def _list_objects(self, request: Request, caller: Admission, bucket: str) -> Reply:
        if request.query.get("list-type") != "2":
            raise Refusal(501, "Only ListObjectsV2 is implemented.", "NotImplemented")
        found = {**self.produced_in(caller, bucket, request.query.get("prefix", "")), **self._bucket(bucket)}
        return s3.listing(bucket, found, request.query)

    async def _put_object(self, request: Request, caller: Admission, bucket: str, key: str) -> Reply:
        if self._closed:
            self._bucket(bucket)
        if not s3.valid_name(bucket):
            raise Refusal(400, "The specified bucket is not valid.", "InvalidBucketName")
        if "aws-chunked" in request.headers.get("content-encoding", "") or "uploadId" in request.query:
            raise Refusal(501, "Streamed and multipart uploads are not implemented.", "NotImplemented")
        if source := request.headers.get("x-amz-copy-source"):
            return await self._copy(request, caller, source, bucket, key)
        media_type = request.headers.get("content-type", "binary/octet-stream")
        stored = self._store(bucket, key, request.body, media_type)
        return Reply(200, b"", {"etag": stored.etag})

    async def _copy(self, request: Request, caller: Admission, source: str, bucket: str, key: str) -> Reply:
        origin, _, name = unquote(source.partition("?")[0]).lstrip("/").partition("/")
        found = await self._object(request, caller, origin, name)
        return s3.copied(self._store(bucket, key, found.body, found.media_type))

    def _store(self, bucket: str, key: str, body: bytes, media_type: str) -> s3.Stored:
        stored = s3.Stored(body=body, modified_ns=self.south.clock.now_ns(), media_type=media_type)
        if not self._buckets.put(bucket, key, stored):
            raise Refusal(400, "The harness keeps no more objects.", "EntityTooLarge")
        return stored

    async def _get_object(self, request: Request, caller: Admission, bucket: str, key: str) -> Reply:
        return s3.given(await self._object(request, caller, bucket, key), request.headers.get("range"))

    async def _head_object(self, request: Request, caller: Admission, bucket: str, key: str) -> Reply:
        return s3.given(await self._object(request, caller, bucket, key), None, head=True)

    async def _delete_object(self, request: Request, caller: Admission, bucket: str, key: str) -> Reply:
        self._bucket(bucket)
        self._buckets.delete(bucket, key)
        return Reply(204)

    async def _no_multipart(self, request: Request, caller: Admission, bucket: str, key: str) -> Reply:
        raise Refusal(501, "Multipart uploads are not implemented.", "NotImplemented")

    async def _object(self, request: Request, caller: Admission, bucket: str, key: str) -> s3.Stored:
        """An object that a client stored, or a task's results, told through faults; raises Refusal."""
        objects = self._bucket(bucket)
        if key in objects:
            return objects[key]
        if (found := await self.produced(request, caller, bucket, key)) is None:
            raise Refusal(404, "The specified key does not exist.", "NoSuchKey")
        return found

    def _bucket(self, bucket: str) -> dict[str, s3.Stored]:
        if bucket not in self._buckets.objects:
            raise Refusal(404, "The specified bucket does not exist", "NoSuchBucket")
        return self._buckets.objects[bucket]
