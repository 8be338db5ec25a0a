"""The document says everything: each operation, each status, each error; and the service does what it says."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from targets.reference import life as life_module
from targets.reference.app import factory
from targets.reference.defects import KNOWN
from tests.reference.conftest import HURRY, PEOPLE
from tests.reference.doubles import World

schemathesis = pytest.importorskip("schemathesis")

NAMES = ("token", "person", "tenant", "roles")
IDENTITIES = json.dumps([dict(zip(NAMES, p, strict=True)) for p in PEOPLE])
APP = factory(HURRY | {"IDENTITIES": IDENTITIES, "DATABASE_URL": "sqlite://"})
DOCUMENT = APP.openapi()
METHODS = ("get", "post", "put", "patch", "delete")


def operations() -> Iterator[tuple[str, str, dict[str, object]]]:
    """All of the document's."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def test_operation_ids_are_readable_and_unique() -> None:
    """snake_case words, as the audit log uses them."""
    ids = [str(operation["operationId"]) for _, _, operation in operations()]
    assert len(ids) == len(set(ids)) == 27
    assert all(name.replace("_", "").isalpha() and name.islower() for name in ids)


def test_every_refusal_has_the_one_shape() -> None:
    """Also 422, which the framework would describe otherwise."""
    for path, method, operation in operations():
        for status, response in operation["responses"].items():  # type: ignore[attr-defined]
            if status >= "400":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, method, status)


def test_nothing_tells_of_defects() -> None:
    """The switches are unreadable."""
    text = json.dumps(factory({"DEFECTS": ",".join(sorted(KNOWN))}).openapi())
    assert text == json.dumps(DOCUMENT)


async def answer(call: httpx.Request) -> httpx.Response:
    """The answer of a fresh life to one request."""
    async with APP.router.lifespan_context(APP):
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            return await http.send(call)


def without_security() -> dict[str, object]:
    """The document for callers who are let in anyway: who isn't has a test of its own."""
    document = copy.deepcopy(DOCUMENT)
    for item in document["paths"].values():
        for operation in item.values():
            operation.pop("security", None)
    return document


SCHEMA = schemathesis.openapi.from_dict(without_security())
SCHEMA.config.update(base_url="http://api.test")
CASES = [result.ok() for result in SCHEMA.get_all_operations()]


@pytest.mark.parametrize("operation", CASES, ids=lambda operation: operation.label)
def test_it_does_what_the_document_says(operation: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few requests to each operation, valid and not; schemathesis judges the answers."""
    outside = httpx.MockTransport(World())
    monkeypatch.setattr(life_module, "http_client", lambda: httpx.AsyncClient(transport=outside))
    import requests
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    stale_is_valid = CHECKS.get_by_names(["positive_data_acceptance"])
    own_requests = CHECKS.get_by_names(["ignored_auth", "use_after_free", "ensure_resource_availability"])

    @settings(max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))  # type: ignore[attr-defined]
        arguments = case.as_transport_kwargs(base_url="http://api.test")
        prepared = requests.Request(**arguments).prepare()
        headers = dict(prepared.headers) | {"authorization": "Bearer ann"}
        call = httpx.Request(prepared.method, prepared.url, headers=headers, content=prepared.body)
        response = asyncio.run(answer(call))
        assert response.status_code != 500
        excluded = own_requests + (stale_is_valid if response.status_code == 412 else [])
        case.validate_response(response, excluded_checks=excluded)

    check()
