"""Facts: every kind survives a file, and nothing unknown is let in."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import facts
from harness.errors import ContractBroken
from harness.fact import Fact, decode, type_registry
from harness.facts import STATES, TERMINAL_STATES, JobSeen, Observation

KINDS = [k for k in type_registry.values() if k is not Observation]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
#: plain data as a target may send it; lists are tuples in facts. "kind" is how a fact in a fact is told
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text(max_size=4).filter(lambda k: k != "kind"), inner, max_size=2)
    ),
    max_leaves=4,
)
SIMPLE: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=5),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    type(None): st.none(),
    Any: PLAIN,
}


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    if hint is Observation:
        return st.deferred(lambda: st.one_of([facts_of(k) for k in KINDS if issubclass(k, Observation)]))
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        return st.lists(of_type(inner[0]), max_size=2).map(tuple)
    if origin is Mapping:
        keys = st.text(max_size=4).filter(lambda k: k != "kind")
        return st.dictionaries(keys, of_type(inner[1]), max_size=2)
    assert origin in (types.UnionType, Union), f"a field of type {hint} has no strategy here"
    return st.one_of([of_type(i) for i in inner])


def facts_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    """Any fact of a kind."""
    hints = get_type_hints(kind, vars(facts))
    return st.builds(kind, **{name: of_type(hints[name]) for name in kind.field_names()})


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_kind_survives_a_file(kind: type[Fact]) -> None:
    @settings(max_examples=15)
    @given(facts_of(kind))
    def survives(fact: Fact) -> None:
        line = json.dumps(fact.encode())
        assert decode(kind.__name__, json.loads(line)) == fact

    survives()


def test_every_kind_is_registered_under_its_own_name() -> None:
    assert all(type_registry[kind.__name__] is kind for kind in KINDS)
    assert len(KINDS) > 25


def test_what_is_not_observable_is_left_out() -> None:
    assert JobSeen(job="j1", version=0).encode() == {"job": "j1", "version": 0}


def test_unknown_kinds_and_fields_are_refused() -> None:
    with pytest.raises(ContractBroken, match="no fact is called 'Gossip'"):
        decode("Gossip", {})
    with pytest.raises(ContractBroken, match="JobSeen has no field colour, shape"):
        decode("JobSeen", {"job": "j1", "shape": 1, "colour": 2})


def test_terminal_states_are_states() -> None:
    assert set(STATES) > TERMINAL_STATES


def test_a_fact_is_frozen() -> None:
    with pytest.raises(AttributeError):
        JobSeen(job="j1").state = "queued"  # type: ignore[misc]
