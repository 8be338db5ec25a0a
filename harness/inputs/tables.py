"""The tables of docs/roles.md, printed from the registries: ``python -m harness.inputs.tables > docs/roles.md``.

A test compares the file with what this prints, so the two can't drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.facts import REASONS, STATES
from harness.inputs import families
from harness.inputs.contract import TERMS
from harness.inputs.hearing import CHANGE_STATES, required_fields
from harness.inputs.roles import ROLES, Role
from harness.judging import Invariant, known_invariants

_HEAD = """\
# Roles, observations, contract

Generated from the registries: `python -m harness.inputs.tables > docs/roles.md`. How they are bound to a target's
operations is told in [target.md](target.md), how scenarios use them in [scenario.md](scenario.md).
"""


def document() -> str:
    """The whole page."""
    parts = (
        _HEAD,
        "## Roles\nParameters in *italics* may be left out. Roles marked ⌖ read only; ⚠ destroys.\n",
        _table(("role", "what it means", "parameters", "shows", "invariants that need it"), _roles()),
        "## Parameters\n",
        _table(("parameter", "type", "what it is"), _parameters()),
        "## Observations\nFields in **bold** must be bound, or the observation says nothing.\n",
        _table(("observation", "what it is", "fields", "invariants that need it"), _observations()),
        "## Contract terms\n",
        _table(("term", "type", "promise", "invariants that need it"), _terms()),
        "## Words\n",
        f"- states of a job: {_words(STATES)}\n"
        f"- states of a change: {_words(CHANGE_STATES)}\n"
        f"- reasons of a refusal: {_words(REASONS)}\n",
    )
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _words(words: Sequence[str]) -> str:
    return ", ".join(f"`{w}`" for w in words)


def _needing(*needs: str) -> str:
    """Invariants one of whose needs begins with one of these."""
    return " ".join(i.id for i in known_invariants().values() if any(n in needs for n in _all_needs(i)))


def _all_needs(rule: Invariant) -> Iterator[str]:
    """Each need alone, ``sees:JobSeen.state`` also as ``sees:JobSeen``."""
    for need in rule.needs:
        for one in need.split("|"):
            yield one.strip()
            yield one.strip().partition(".")[0] if one.strip().startswith("sees:") else one.strip()


def _roles() -> Iterator[Sequence[str]]:
    for role in ROLES.values():
        marks = " ⌖" * role.reads + " ⚠" * role.destructive
        shows = ", ".join(f"`{kind.__name__}`" for kind in role.sees)
        yield f"`{role.name}`{marks}", role.help, _params(role), shows, _needing(f"role:{role.name}")


def _params(role: Role) -> str:
    return ", ".join(p.name if p.required else f"*{p.name}*" for p in role.params)


def _parameters() -> Iterator[Sequence[str]]:
    seen: set[tuple[str, str]] = set()
    for param in (p for role in ROLES.values() for p in role.params):
        if (param.name, param.help) not in seen:
            seen.add((param.name, param.help))
            yield param.name, param.type, param.help


def _observations() -> Iterator[Sequence[str]]:
    for name, kind in families.observations().items():
        required = required_fields(kind)
        fields = ", ".join(f"**{f}**" if f in required else f for f in kind.field_names())
        first = (kind.__doc__ or "").strip().partition("\n")[0]
        yield f"`{name}`", first, fields, _needing(f"sees:{name}")


def _terms() -> Iterator[Sequence[str]]:
    for term in TERMS.values():
        yield f"`{term.name}`", term.type, term.help, _needing(f"contract:{term.name}")


if __name__ == "__main__":
    print(document(), end="")
