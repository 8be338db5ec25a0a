"""Samplexes: recipes, sent along with a template circuit, for drawing its random parameters.

IBM's client-side Estimator and twirled Sampler don't send circuits but a template and a graph of nodes that the server
evaluates: draw Paulis, push them past Cliffords, multiply them into one-qubit gates, write those down as angles and the
flips of measurements beside the results. This evaluates such graphs, written after the public format of the samplomatic
library (Apache-2.0), serialisation versions 1 to 4.

Not simulated: injected noise (N5) and twirling with other groups than Paulis (local Cliffords, Haar); refused as such.

Registers are arrays of shape (subsystems, randomizations), of 2×2 matrices in the case of ``u2``. Paulis are numbered
I = 0, Z = 1, X = 2, Y = 3, without phases.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.providers._ibm_json import invalid
from harness.providers._protocol import Refusal

MAX_NODES, MAX_SUBSYSTEMS = 200_000, 100_000
#: what a graph that a client wrote may lead to, wherever it is read or evaluated
_BROKEN = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError, MemoryError, RecursionError)
#: an array's dtype as it is written; two of them don't say what is written
_DTYPES = {"c128": "<c16", "i64": "<i8", "u32": "<u8", "u8": "<u2"}
_TOLERANCE = 1e-7
_SAMPLING, _COLLECTING = ("N0", "N10", "N14"), ("N1", "N2")

#: conjugation of Paulis by Cliffords, for versions that leave the tables out
_PAST: Mapping[str, Any] = {
    "h": [[0], [2], [1], [3]],
    "cx": [
        [[0, 0], [1, 1], [0, 2], [1, 3]],
        [[1, 0], [0, 1], [1, 2], [0, 3]],
        [[2, 2], [3, 3], [2, 0], [3, 1]],
        [[3, 2], [2, 3], [3, 0], [2, 1]],
    ],
    "cz": [
        [[0, 0], [0, 1], [1, 2], [1, 3]],
        [[1, 0], [1, 1], [0, 2], [0, 3]],
        [[2, 1], [2, 0], [3, 3], [3, 2]],
        [[3, 1], [3, 0], [2, 3], [2, 2]],
    ],
    "ecr": [
        [[0, 0], [1, 3], [0, 2], [1, 1]],
        [[1, 0], [0, 3], [1, 2], [0, 1]],
        [[3, 2], [2, 1], [3, 0], [2, 3]],
        [[2, 2], [3, 1], [2, 0], [3, 3]],
    ],
}

Node = Mapping[str, Any]


@dataclass
class _Register:
    kind: str
    values: Any

    def to(self, kind: str) -> _Register:
        """The same elements as another kind; always a copy."""
        import numpy as np

        if kind == self.kind:
            return _Register(kind, self.values.copy())
        if (self.kind, kind) == ("pauli", "u2"):
            return _Register(kind, _paulis()[self.values])
        if (self.kind, kind) == ("pauli", "z2"):
            return _Register(kind, np.right_shift(self.values, 1))
        if (self.kind, kind) == ("z2", "pauli"):
            return _Register(kind, np.left_shift(self.values, 1))
        raise _unsupported(f"conversion of {self.kind} to {kind}")

    def times(self, other: Any, at: Any = slice(None)) -> None:
        """Multiply from the right, in place."""
        if self.kind == "u2":
            self.values[at] = self.values[at] @ other
        else:
            self.values[at] = self.values[at] ^ other


@dataclass(frozen=True)
class Samplex:
    """One recipe. ``expressions``: parameter values → values of the recipe's parameter expressions."""

    nodes: tuple[Node, ...]
    parameters: int
    #: other outputs and their shapes, without the randomizations
    flips: Mapping[str, tuple[int, ...]]
    passed: tuple[Sequence[int], Sequence[int]]
    tables: Mapping[str, Any]
    #: input → number of its own, rightmost axes
    inputs: Mapping[str, int]
    expressions: Callable[[Sequence[float]], Sequence[float]] = field(repr=False)

    @cached_property
    def phases(self) -> tuple[tuple[Node, ...], ...]:
        """Sampling, evaluation, collection."""
        kinds = (_SAMPLING, None, _COLLECTING)
        return tuple(
            tuple(n for n in self.nodes if (n["id"] in k if k else n["id"] not in _SAMPLING + _COLLECTING))
            for k in kinds
        )

    def draw(self, arguments: Mapping[str, Any], count: int, rng: Any) -> dict[str, Any]:
        """Draw ``count`` randomizations: output → array whose first axis is over them."""
        import numpy as np

        play = _Play(self, arguments, count, rng)
        out = {name: np.zeros((count, *shape), dtype=bool) for name, shape in self.flips.items()}
        out["parameter_values"] = np.zeros((count, self.parameters), dtype=np.float32)
        values = np.asarray(self.expressions(arguments.get("parameter_values", ())), dtype=float)
        targets, sources = self.passed
        if len(targets):
            out["parameter_values"][:, list(targets)] = values[list(sources)]
        for phase in self.phases:
            for node in phase:
                play.step(node, values, out)
        return out

    def broadcast(self, arguments: Mapping[str, Any], shape: tuple[int, ...], rng: Any) -> dict[str, Any]:
        """Draw for a whole shape: axes along which arguments vary are swept, all others are randomizations."""
        import numpy as np

        sweep = _Sweep.of(arguments, self.inputs, shape)
        out: dict[str, Any] = {}
        for at in np.ndindex(*sweep.swept):
            given = {name: values[sweep.index(at, 0)] for name, values in sweep.spread.items()}
            drawn = self.draw(given, int(np.prod(sweep.free, dtype=int)), rng)
            for name, values in drawn.items():
                whole = out.setdefault(name, np.zeros((*shape, *values.shape[1:]), dtype=values.dtype))
                whole[sweep.index(at, slice(None))] = values.reshape((*sweep.free, *values.shape[1:]))
        return out


@dataclass(frozen=True)
class _Sweep:
    """A shape, split into axes along which arguments vary, and the others, which are randomizations."""

    varies: tuple[bool, ...]
    swept: tuple[int, ...]
    free: tuple[int, ...]
    #: arguments with as many leading axes as the shape has
    spread: Mapping[str, Any]

    @classmethod
    def of(cls, arguments: Mapping[str, Any], inputs: Mapping[str, int], shape: tuple[int, ...]) -> _Sweep:
        """``inputs``: of how many axes each argument is by itself. Raises ValueError if they don't fit the shape."""
        import numpy as np

        lead = {k: np.shape(v)[: np.ndim(v) - inputs.get(k, np.ndim(v))] for k, v in arguments.items()}
        own = np.broadcast_shapes(*lead.values()) if lead else ()
        if np.broadcast_shapes(own, shape) != shape:
            raise ValueError("arguments that broadcast to the shape")
        padded = (1,) * (len(shape) - len(own)) + tuple(own)
        varies = tuple(n > 1 for n in padded)
        return cls(
            varies=varies,
            swept=tuple(n for n, v in zip(shape, varies, strict=True) if v),
            free=tuple(n for n, v in zip(shape, varies, strict=True) if not v),
            spread={k: np.broadcast_to(v, (*padded, *np.shape(v)[len(lead[k]) :])) for k, v in arguments.items()},
        )

    def index(self, at: Sequence[int], otherwise: Any) -> tuple[Any, ...]:
        """Where ``at`` is along the swept axes, as an index of the whole shape."""
        places = iter(at)
        return tuple(next(places) if v else otherwise for v in self.varies)


class _Play:
    """One drawing: the registers, and what each kind of node does to them."""

    def __init__(self, samplex: Samplex, arguments: Mapping[str, Any], count: int, rng: Any) -> None:
        self.samplex, self.arguments, self.count, self.rng = samplex, arguments, count, rng
        self.registers: dict[str, _Register] = {}

    def step(self, node: Node, values: Any, out: Mapping[str, Any]) -> None:
        """One node."""
        does: Mapping[str, Callable[[], None]] = {
            "N0": lambda: self._change_basis(node),
            "N1": lambda: self._collect_angles(node, out),
            "N2": lambda: self._collect_flips(node, out),
            "N3": lambda: self._combine(node),
            "N4": lambda: self._convert(node),
            "N6": lambda: self._multiply(node, left=True),
            "N7": lambda: self._multiply(node, left=False),
            "N8": lambda: self._past(node),
            "N9": lambda: self._slice(node),
            "N10": lambda: self._twirl(node),
            "N11": lambda: self._rotate(node, values, left=True),
            "N12": lambda: self._rotate(node, values, left=False),
            "N14": lambda: self._sample(node),
            "N15": lambda: self._past(node),
        }
        if node["id"] not in does:
            raise _unsupported(f"samplex node {node['id']}")
        does[node["id"]]()

    def _change_basis(self, node: Node) -> None:
        import numpy as np

        change = json.loads(node["basis_change"])
        kind, gates = _fixed(json.loads(change["action"]))
        places = {symbol: i for i, symbol in enumerate(change["alphabet"])}
        wanted = [places[int(e)] for e in np.asarray(self.arguments[node["basis_ref"]]).reshape(-1)]
        self.registers[node["register_name"]] = _Register(kind, gates[wanted])

    def _twirl(self, node: Node) -> None:
        paulis = self._paulis(json.loads(node["distribution"]))
        # a Pauli without its phase is its own inverse
        self.registers[node["lhs_register_name"]] = _Register("pauli", paulis)
        self.registers[node["rhs_register_name"]] = _Register("pauli", paulis.copy())

    def _sample(self, node: Node) -> None:
        self.registers[node["register_name"]] = _Register("pauli", self._paulis(json.loads(node["distribution"])))

    def _paulis(self, distribution: Mapping[str, Any]) -> Any:
        import numpy as np

        kind, width = distribution.get("id", distribution.get("type")), _sized(distribution["num_subsystems"])
        if kind in ("D0", "pauli_uniform"):
            return self.rng.randint(0, 4, (width, self.count))
        if kind == "D3":
            whole = self.rng.randint(0, 4, (width, -(-self.count // 4), 1)) + np.array([0, 2, 1, 3]).reshape(1, 1, 4)
            return (whole % 4).reshape(width, -1)[:, : self.count]
        if kind == "D5":
            subset = _array(distribution["paulis"]) % 4
            groups = width // subset.shape[1]
            drawn = subset[self.rng.randint(0, len(subset), (groups, self.count))]
            return drawn.transpose(0, 2, 1).reshape(width, self.count).astype(int)
        raise _unsupported(f"twirling distribution {kind}")

    def _combine(self, node: Node) -> None:
        import numpy as np

        kind, width = node["output_type"], _sized(node["num_output_subsystems"])
        operands = json.loads(node["operands"])
        count = max(self.registers[name].values.shape[1] for name in operands)
        start = np.zeros((width, count), dtype=int)
        found = _Register(kind, _paulis()[start] if kind == "u2" else start)
        for name, (source, target, _) in operands.items():
            operand = self.registers[name].to(kind).values[_array(source["array"])]
            found.times(operand, _array(target["array"]))
        self.registers[node["output_register_name"]] = found

    def _convert(self, node: Node) -> None:
        self.registers[node["new_name"]] = self.registers[node["existing_name"]].to(node["new_type"])
        if node["remove_existing"] == "True":
            del self.registers[node["existing_name"]]

    def _multiply(self, node: Node, left: bool) -> None:
        register = self.registers[node["register_name"]]
        _, gates = _fixed(json.loads(node["operand"]))
        if left and register.kind == "u2":
            register.values = gates @ register.values
        else:
            register.times(gates)

    def _rotate(self, node: Node, values: Any, left: bool) -> None:
        register = self.registers[node["register_name"]]
        gates = _rotations(node["operand"], values[json.loads(node["param_indices"])])
        register.values = gates @ register.values if left else register.values @ gates

    def _past(self, node: Node) -> None:
        import numpy as np

        register, name = self.registers[node["register_name"]], node["op_name"]
        table = self.samplex.tables.get(f"{node['id']}:{name}", _PAST.get(name))
        if table is None:
            raise _unsupported(f"Paulis past {name}")
        pairs = _array(node["subsystem_idxs"])
        before = register.values[pairs]
        after = np.asarray(table)[tuple(before[:, i] for i in range(pairs.shape[-1]))]
        if (after < 0).any():
            raise _unsupported(f"Paulis past {name}")
        register.values[pairs] = np.transpose(after, (0, 2, 1))

    def _slice(self, node: Node) -> None:
        source = self.registers[node["input_register_name"]].to(node["output_type"])
        sliced = node["is_slice"] == "true"
        at = slice(*json.loads(node["slice_idxs"])) if sliced else _array(node["slice_idxs"])
        self.registers[node["output_register_name"]] = _Register(source.kind, source.values[at].copy())

    def _collect_angles(self, node: Node, out: Mapping[str, Any]) -> None:
        register = self.registers[node["register_name"]].to("u2")
        angles = _angles(register.values[_array(node["subsystem_idxs"])], node["synth"])
        places = _array(node["template_idxs"]).reshape(-1)
        out[node["template_param_names"]][:, places] = angles.transpose(1, 0, 2).reshape(-1, places.size)

    def _collect_flips(self, node: Node, out: Mapping[str, Any]) -> None:
        values = self.registers[node["register_name"]].values[_array(node["subsystem_indices"])]
        table = out[node["output_name"]]
        flat = table.reshape(len(table), -1)
        flat[:, _array(node["output_indices"])] = values.transpose(1, 0) == 1


def read(
    text: object, bind: Callable[[bytes, str], Callable[[Sequence[float]], Sequence[float]]], place: str
) -> Samplex:
    """A recipe out of its JSON; ``bind`` reads a circuit that holds parameter expressions. Raises Refusal."""
    try:
        return _read(json.loads(str(text)), bind, place)
    except _BROKEN:
        raise invalid(place, "is not a samplex") from None


def draw(
    samplex: Samplex, arguments: Mapping[str, Any], shape: tuple[int, ...], rng: Any, place: str
) -> dict[str, Any]:
    """Draw from a recipe that a client wrote; raises Refusal where it is at odds with itself or its arguments."""
    try:
        return samplex.broadcast(arguments, shape, rng)
    except _BROKEN:
        raise invalid(place, "does not fit its samplex") from None


def _read(raw: Mapping[str, Any], bind: Callable[..., Any], place: str) -> Samplex:
    attrs = raw["attrs"]
    if int(attrs.get("ssv", 1)) > 4:
        raise invalid(place, "has a samplex of a version above 4")
    if len(raw["nodes"]) > MAX_NODES:
        raise Refusal(400, "Circuit is too big: its samplex has too many nodes.", 3243)
    outputs = {name: json.loads(s) for name, s in json.loads(attrs["output_specification"]).items()}
    inputs = {name: json.loads(s) for name, s in json.loads(attrs["input_specification"]).items()}
    table = json.loads(attrs["param_table"])
    passed = attrs["passthrough_params"]
    return Samplex(
        nodes=_ordered(raw),
        parameters=_sized(outputs["parameter_values"]["shape"][1]) if "parameter_values" in outputs else 0,
        flips={n: tuple(map(_sized, s["shape"][1:])) for n, s in outputs.items() if n != "parameter_values"},
        passed=([], []) if passed == "None" else tuple(json.loads(passed)),
        tables={k: _array(v) for k, v in json.loads(attrs.get("lookup_tables", "{}")).items()},
        inputs={n: len(s.get("shape", ())) for n, s in inputs.items()},
        expressions=bind(base64.b64decode(table["circuit_base64"]), place),
    )


def _ordered(raw: Mapping[str, Any]) -> tuple[Node, ...]:
    """Nodes, each after those it depends on; by Kahn's algorithm."""
    nodes = {n["id"]: n["data"] for n in raw["nodes"]}
    after: dict[int, list[int]] = {i: [] for i in nodes}
    waits = dict.fromkeys(nodes, 0)
    for link in raw["links"]:
        after[link["source"]].append(link["target"])
        waits[link["target"]] += 1
    ready, found = [i for i, n in waits.items() if not n], []
    for i in ready:
        found.append(nodes[i])
        for j in after[i]:
            waits[j] -= 1
            if not waits[j]:
                ready.append(j)
    if len(found) != len(nodes):
        raise ValueError("a samplex without cycles")
    return tuple(found)


def _sized(value: object) -> int:
    """How many there are of something; ValueError for more than can be."""
    found = int(str(value))
    if not 0 <= found <= MAX_SUBSYSTEMS:
        raise ValueError(f"at most {MAX_SUBSYSTEMS} of anything")
    return found


def _array(text: str) -> Any:
    import numpy as np

    raw = json.loads(text)
    found = np.frombuffer(base64.b64decode(raw["data"]), dtype=_DTYPES[raw["dtype"]]).reshape(raw["shape"])
    return found if raw["dtype"] == "c128" else found.astype(np.int64)


def _fixed(raw: Mapping[str, Any]) -> tuple[str, Any]:
    """Kind and elements of a register that is written down."""
    kind = {"V0": "pauli", "V1": "u2", "V2": "z2"}.get(raw.get("id", ""), raw.get("type"))
    if kind not in ("pauli", "u2", "z2"):
        raise _unsupported(f"registers of {kind or raw.get('id')}")
    return str(kind), _array(raw["array"])


def _paulis() -> Any:
    import numpy as np

    return np.array([[[1, 0], [0, 1]], [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]]], dtype=complex)


def _rotations(gate: str, angles: Any) -> Any:
    """(gates × 1) matrices of rx or rz."""
    import numpy as np

    found = np.zeros((len(angles), 1, 2, 2), dtype=complex)
    cosine, sine = np.cos(angles / 2), np.sin(angles / 2)
    found[:, 0, 0, 0], found[:, 0, 1, 1] = cosine, cosine
    if gate == "rx":
        found[:, 0, 0, 1] = found[:, 0, 1, 0] = -1j * sine
    elif gate == "rz":
        found[:, 0, 0, 0] -= 1j * sine
        found[:, 0, 1, 1] += 1j * sine
    else:
        raise _unsupported(f"parametric {gate}")
    return found


def _angles(gates: Any, synth: str) -> Any:
    """Euler angles (first applied first) of one-qubit gates, for the templates rz-sx-rz-sx-rz and rz-rx-rz.

    From U = e^{iα} Rz(φ) Ry(θ) Rz(λ): φ + λ and φ − λ are the phases of U₁₁ and U₁₀ over det U^{1/2}, and
    tan(θ/2) = |U₁₀| / |U₀₀| (Nielsen and Chuang, theorem 4.1). √X Rz(θ + π) √X and Rx(θ) are Ry(θ) between rotations
    about z.
    """
    import numpy as np

    if synth not in ("RzSxSynth", "RzRxSynth"):
        raise _unsupported(f"synthesis {synth}")
    u00, u01, u10, u11 = gates[..., 0, 0], gates[..., 0, 1], gates[..., 1, 0], gates[..., 1, 1]
    root = (u00 * u11 - u01 * u10) ** -0.5
    plus, minus = np.angle(root * u11), np.angle(root * u10)
    theta = 2 * np.arctan2(np.abs(u10), np.abs(u00))
    # where an entry vanishes its phase is noise: give all of the rotation to the first angle
    plus = np.where(np.pi - theta < _TOLERANCE, 0.0, plus)
    minus = np.where(theta < _TOLERANCE, 0.0, minus)
    phi, lam = plus + minus, plus - minus
    if synth == "RzSxSynth":
        found = np.stack([lam - np.pi, np.pi - theta, phi], axis=-1)
    else:
        found = np.stack([lam - np.pi / 2, theta, phi + np.pi / 2], axis=-1)
    return np.pi - np.remainder(np.pi - found, 2 * np.pi)


def _unsupported(what: str) -> Refusal:
    return Refusal(400, f"Instruction is not supported: the simulation does not know {what}.", 7001)
