"""Values of contract terms as files write them: of the term's type, or ``{choices: […]}`` of such values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from harness.errors import FileProblem
from harness.inputs import families
from harness.inputs.contract import TERMS
from harness.inputs.nodes import Node


def contract_values(node: Node) -> dict[str, Any]:
    """Term → value; a value may be ``{choices: […]}``."""
    return {term: _choices_or_one(n, term) for term, n in node.known_entries(TERMS, "contract term").items()}


def contract_caps(node: Node) -> dict[str, float]:
    """Term → upper bound on what a target publishes."""
    return {term: n.number(0) for term, n in node.known_entries(TERMS, "contract term").items()}


def _choices_or_one(node: Node, term: str) -> Any:
    if node.is_mapping and "choices" in node.members:
        choices = node.section("choices").need("choices").listing(at_least=1)
        return {"choices": [contract_value(n, term) for n in choices]}
    return contract_value(node, term)


def contract_value(node: Node, term: str) -> Any:
    """One value of a term; a message about it ends with what the term means."""
    reader = _OF_TERM.get(term) or _OF_TYPE[TERMS[term].type]
    try:
        return reader(node)
    except FileProblem as problem:
        meaning = f"{term}: {TERMS[term].help}."
        raise FileProblem(problem.place, problem.what, problem.instead or meaning) from None


def _plain_items(node: Node) -> list[Any]:
    return [n.plain() for n in node.listing()]


def _stages(node: Node) -> list[dict[str, Any]]:
    return [_stage(n) for n in node.listing()]


def _stage(node: Node) -> dict[str, Any]:
    section = node.section("name", "quorum", "ability", required=("name", "quorum", "ability"))
    return {
        "name": section.need("name").text(),
        "quorum": section.need("quorum").integer(1),
        "ability": section.need("ability").text(),
    }


def _words(*known: str) -> Callable[[Node], list[str]]:
    return lambda node: [n.one_of(known) for n in node.listing()]


def _faults(node: Node) -> list[str]:
    return [families.fault(n).name for n in node.listing()]


_OF_TYPE: Mapping[str, Callable[[Node], Any]] = MappingProxyType(
    {
        "int": lambda n: n.integer(0),
        "number": lambda n: n.number(0),
        "bool": Node.flag,
        "text": Node.text,
        "list": _plain_items,
    }
)
_OF_TERM: Mapping[str, Callable[[Node], Any]] = MappingProxyType(
    {
        "approvals.order": lambda n: n.one_of(("strict", "any")),
        "approvals.stages": _stages,
        "fallback.eligible": _faults,
        "jobs.key_scope": _words("tenant", "person"),
    }
)
