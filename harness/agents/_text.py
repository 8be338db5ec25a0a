"""Free text in payloads: people's names, sentences, addresses in several scripts. The only importer of faker.

A payload in target.yaml asks for it with ``{faker: name}``, where the word is a provider of Faker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import UsageProblem
from harness.seed import derive

#: left to right, right to left, and one of many strokes: text that pipelines cut, fold or count wrongly
_LOCALES = ("en_US", "ar_AA", "ja_JP")


def wants_text(value: object) -> bool:
    """Whether a payload holds a request for free text anywhere."""
    if isinstance(value, Mapping):
        return _is_request(value) or any(wants_text(v) for v in value.values())
    return isinstance(value, list | tuple) and any(wants_text(v) for v in value)


def written(value: Any, seed: int) -> tuple[Any, ...]:
    """A payload once in each script, its requests filled with text that is a function of the seed."""
    from faker import Faker

    versions = []
    for locale in _LOCALES:
        faker = Faker(locale)
        faker.seed_instance(derive(seed, "text", locale))
        versions.append(_fill(value, faker))
    return tuple(versions)


def _is_request(value: Mapping[Any, Any]) -> bool:
    return set(value) == {"faker"} and isinstance(value["faker"], str)


def _fill(value: Any, faker: Any) -> Any:
    if isinstance(value, Mapping):
        if _is_request(value):
            return _say(faker, value["faker"])
        return {k: _fill(v, faker) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(v, faker) for v in value]
    return value


def _say(faker: Any, provider: str) -> str:
    try:
        return str(faker.format(provider))
    except AttributeError:
        raise UsageProblem(f"a payload asks for {{faker: {provider}}}, which Faker does not know") from None
