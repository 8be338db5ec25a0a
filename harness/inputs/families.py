"""Names that files may use: members of the registries. Looked up when a file names one, so that loading stays cheap."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from harness.fact import type_registry
from harness.facts import Observation
from harness.injection import Fault, known_faults
from harness.inputs.nodes import Node
from harness.judging import known_invariants
from harness.registry import names


def observations() -> Mapping[str, type[Observation]]:
    """Every observation by name."""
    return {n: t for n, t in type_registry.items() if issubclass(t, Observation) and t is not Observation}


def invariant_names() -> tuple[str, ...]:
    """Every invariant's id."""
    return tuple(known_invariants())


def agent_names() -> tuple[str, ...]:
    """Every agent's name: its module's, so that nothing heavy is imported to know it."""
    parent = import_module("harness.agents")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(parent.__path__) if m.name[0] != "_"))


def doubles() -> Mapping[str, type[Any]]:
    """Every double by the name that target.yaml uses."""
    from harness.south import known_doubles

    return known_doubles()


def wire_names() -> tuple[str, ...]:
    """Every protocol that a wire can speak; none is loaded."""
    return names("harness.wires")


def fault(node: Node) -> type[Fault]:
    """The fault that a node names."""
    return known_faults()[node.one_of(known_faults(), "fault")]
