"""What there is to know of each fault, for help texts, pages and tests: ``describe`` one, ``descriptions`` of all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass
from inspect import cleandoc
from typing import Any

from harness.catalogue.seen import SEEN, Seen
from harness.errors import UsageProblem
from harness.injection import Fault, complaint, known_faults

#: words that YAML takes for something else
_YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text", tuple: "list"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a fault. ``choices``: all there are if ``closed``, else what agents draw from."""

    name: str
    type: str
    default: Any
    choices: tuple[Any, ...]
    closed: bool
    #: bounds of a number, those included; None: there is none
    least: float | None
    most: float | None
    help: str
    #: common to all faults: where, when and how often
    envelope: bool


@dataclass(frozen=True, kw_only=True)
class FaultDescription:
    """One fault as it is told. ``doc``: its docstring; ``example``: an item of a scenario's ``faults:`` in YAML."""

    name: str
    doc: str
    layer: str
    service: str
    operations: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    evidence: tuple[str, ...]
    example: str
    #: what was seen elsewhere, and the settings that reproduce it
    seen: tuple[Seen, ...]

    @property
    def summary(self) -> str:
        """The first line of the doc."""
        return self.doc.partition("\n")[0]

    @property
    def own(self) -> tuple[Parameter, ...]:
        """Its parameters without the envelope's, unless they differ there."""
        return tuple(p for p in self.parameters if not p.envelope)

    @property
    def envelope(self) -> tuple[Parameter, ...]:
        """Where, when and how often."""
        return tuple(p for p in self.parameters if p.envelope)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        parameters = [
            {
                "name": p.name,
                "type": p.type,
                "default": _plain(p.default),
                "choices": [_plain(c) for c in p.choices],
                "closed": p.closed,
                "least": p.least,
                "most": p.most,
                "help": p.help,
                "envelope": p.envelope,
            }
            for p in self.parameters
        ]
        return {
            "name": self.name,
            "summary": self.summary,
            "doc": self.doc,
            "layer": self.layer,
            "service": self.service,
            "operations": list(self.operations),
            "parameters": parameters,
            "evidence": list(self.evidence),
            "example": self.example,
        }


def describe(kind: type[Fault]) -> FaultDescription:
    """A fault, from its class."""
    seen = tuple(s for s in SEEN if s.fault == kind.name)
    return FaultDescription(
        name=kind.name,
        doc=cleandoc(kind.__doc__ or ""),
        layer=kind.layer,
        service=kind.service,
        operations=kind.operations,
        parameters=tuple(_parameter(field, kind) for field in _ordered(kind)),
        evidence=kind.evidence,
        example=example(kind.name, seen[0].params if seen else {}),
        seen=seen,
    )


def descriptions() -> tuple[FaultDescription, ...]:
    """Every fault, by name."""
    return tuple(describe(kind) for _, kind in sorted(known_faults().items()))


def example(name: str, params: Mapping[str, Any]) -> str:
    """One use of a fault as an item of a scenario's list, in YAML's flow style."""
    if not params:
        return f"- {name}"
    inner = ", ".join(f"{k}: {_yaml(v)}" for k, v in params.items())
    return f"- {{fault: {name}, params: {{{inner}}}}}"


def from_text(kind: type[Fault], name: str, text: str) -> Any:
    """A parameter's value from ``name=text`` of a command line; raises UsageProblem.

    Lists are separated by commas; numbers and true/false are written as in YAML.
    """
    settings = kind.settings()
    if name not in settings:
        raise UsageProblem(f"fault {kind.name} has no parameter {name!r}; known: {', '.join(sorted(settings))}")
    field = settings[name]
    value = _value(field.default, text)
    if wrong := complaint(field, value):
        raise UsageProblem(f"fault {kind.name}: {name} {wrong}, not {text!r}")
    return value


def _value(default: Any, text: str) -> Any:
    if isinstance(default, tuple):
        parts = [p.strip() for p in text.strip("[]").split(",") if p.strip()]
        return tuple(_number(p) for p in parts)
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    return text if isinstance(default, str) else _number(text)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _ordered(kind: type[Fault]) -> list[Field[Any]]:
    """Its own parameters first; those of the envelope that it redefines stay with the envelope."""
    fields, common = list(kind.settings().values()), Fault.settings()
    return sorted(fields, key=lambda f: f.name in common)


def _parameter(field: Field[Any], kind: type[Fault]) -> Parameter:
    default = None if field.default is MISSING else field.default
    bounded = isinstance(default, int | float) and not isinstance(default, bool)
    return Parameter(
        name=field.name,
        type=_TYPES[type(default)],
        default=default,
        choices=field.metadata["choices"],
        closed=field.metadata["closed"],
        least=field.metadata["least"] if bounded else None,
        most=field.metadata["most"] if bounded else None,
        help=field.metadata["help"],
        envelope=field.name in Fault.settings(),
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _yaml(value: Any) -> str:
    """A scalar or a flat list; JSON's quoting is YAML's."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_yaml(v) for v in value)}]"
    if isinstance(value, str) and value.isidentifier() and value not in _YAML_WORDS:
        return value
    return json.dumps(value)
