"""What clients send becomes the circuit that they meant, or a message; never anything else."""

from __future__ import annotations

import io
import math
import random
import struct
import time
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3, qpy, transpile
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import QFTGate, efficient_su2
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector

from harness.backend import sampling
from harness.backend.circuit import UNITARY, Circuit, Gate
from harness.backend.matrices import gpi, gpi2, ms
from harness.backend.qasm.tokens import MOST_CHARACTERS
from harness.backend.reading import (
    Template,
    Unreadable,
    from_braket_qasm,
    from_qasm2,
    from_qasm3,
    from_qpy,
    template_from_qasm3,
    templates_from_qpy,
)

VERSIONS = range(13, qpy.common.QPY_VERSION + 1)
HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\nbit[3] c;\n'


def dumped(*circuits: QuantumCircuit, version: int = qpy.common.QPY_VERSION) -> bytes:
    file = io.BytesIO()
    qpy.dump(list(circuits), file, version=version)
    return file.getvalue()


def expected(circuit: QuantumCircuit) -> dict[int, float]:
    """By qiskit's own state vector; all qubits measured in order."""
    bare = circuit.remove_final_measurements(inplace=False)
    return {int(k, 2): p for k, p in Statevector(bare).probabilities_dict().items()}


def close(a: Mapping[int, float], b: Mapping[int, float]) -> bool:
    return all(abs(a.get(k, 0) - b.get(k, 0)) < 1e-8 for k in {*a, *b})


def measured(seed: int, width: int = 4) -> QuantumCircuit:
    circuit = random_circuit(width, 5, max_operands=min(4, width), seed=seed, measure=False)
    circuit.measure_all()
    return circuit


def outcome(text: str) -> Mapping[int, float]:
    return sampling.exact(from_qasm3(HEAD + text), None)


# ---------------------------------------------------------------- the same distribution


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_every_format_gives_qiskits_distribution(seed: int, width: int) -> None:
    """Random circuits of all standard gates: QPY, OpenQASM 3 and 2."""
    circuit = measured(seed, width)
    want = expected(circuit)
    assert close(sampling.exact(from_qpy(dumped(circuit))[0], None), want)
    assert close(sampling.exact(from_qasm3(qasm3.dumps(circuit)), None), want)
    assert close(sampling.exact(from_qasm2(qasm2.dumps(circuit)), None), want)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_versions_of_qpy(version: int) -> None:
    """Those that clients in use write."""
    first, second = measured(1), measured(2)
    found = from_qpy(dumped(first, second, version=version))
    assert [close(sampling.exact(f, None), expected(c)) for f, c in zip(found, (first, second), strict=True)] == [1, 1]


def test_operations_of_a_circuits_own_are_unpacked() -> None:
    """Nested definitions, open controls, and a global phase that a control makes visible."""
    inner = QuantumCircuit(2, name="inner", global_phase=0.7)
    inner.h(0)
    inner.cx(0, 1)
    circuit = QuantumCircuit(3)
    circuit.h(range(3))
    circuit.append(inner.to_gate().control(1, ctrl_state=0), [2, 0, 1])
    circuit.append(QFTGate(3), range(3))
    circuit.unitary([[0.6, 0.8j], [0.8j, 0.6]], [1])
    circuit.measure_all()
    assert close(sampling.exact(from_qpy(dumped(circuit))[0], None), expected(circuit))


def test_parameters_are_bound_in_qiskits_order() -> None:
    """By name, vectors by index, as the SDK lays out its arrays of values."""
    circuit = QuantumCircuit(2)
    vector, beta = ParameterVector("v", 11), Parameter("beta")
    circuit.rx(beta, 0)
    circuit.ry(vector[10] + 2 * vector[2], 1)
    (template,) = templates_from_qpy(dumped(circuit))
    assert template.parameters == tuple(p.name for p in circuit.parameters)
    values = [0.3 * k for k in range(1, len(template.parameters) + 1)]
    angles = [g.angle_rad for g in template.bind(values).gates if isinstance(g, Gate)]
    named = dict(zip(template.parameters, values, strict=True))
    assert angles == pytest.approx([named["beta"], named["v[10]"] + 2 * named["v[2]"]])


def test_registers_keep_their_names_and_bits() -> None:
    """Results are told by register."""
    circuit = QuantumCircuit(2)
    circuit.measure_all()
    (found,) = from_qpy(dumped(circuit))
    assert found.registers == (("meas", (0, 1)),)
    both = from_qasm3("qubit[2] q; bit a; bit[2] b; a = measure q[1]; b[1] = measure q[0];")
    assert both.registers == (("a", (0,)), ("b", (1, 2)))
    assert (both.measured, both.bits) == (((1, 0), (0, 2)), 3)


def test_a_layout_changes_nothing() -> None:
    """Circuits that a client has compiled for a device."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.measure_all()
    coupling = [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]]
    laid = transpile(circuit, coupling_map=coupling, basis_gates=["cx", "rz", "sx"], initial_layout=[3, 1, 0])
    assert close(sampling.exact(from_qpy(dumped(laid))[0], None), {0: 0.5, 5: 0.5})


# ---------------------------------------------------------------- OpenQASM 3


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("x q[0]; c = measure q;", {1: 1}),
        ("x q; c[0:1] = measure q[1:2];", {3: 1}),
        ("x q[-1]; c = measure q;", {4: 1}),
        ("for int i in {0, 2} { x q[i]; } c = measure q;", {5: 1}),
        ("for int i in [0:2:2] x q[i]; c = measure q;", {5: 1}),
        ("const int n = 2; if (n > 1) { x q[n]; } else { x q[0]; } c = measure q;", {4: 1}),
        ("gate two(a) s, t { rx(a) s; cx s, t; } two(pi) q[0], q[2]; c = measure q;", {5: 1}),
        ("inv @ sx q[0]; pow(2) @ sx q[0]; sx q[0]; c = measure q;", {1: 1}),
        ("pow(0.5) @ x q[0]; pow(0.5) @ x q[0]; c = measure q;", {1: 1}),
        ("pow(-3) @ x q[0]; c = measure q;", {1: 1}),
        ("negctrl @ x q[0], q[1]; ctrl @ ctrl @ x q[0], q[1], q[2]; c = measure q;", {2: 1}),
        ("ctrl(2) @ x q; c = measure q;", None),
        ("x q[0]; ctrl @ negctrl @ x q[0], q[1], q[2]; c = measure q;", {5: 1}),
        ("h q[0]; ctrl @ gphase(pi) q[0]; h q[0]; c = measure q;", {1: 1}),
        ("let a = q[0] ++ q[2]; x a; c = measure q;", {5: 1}),
        ("rx(2 * (pi - π/2)) q[0]; c = measure q;", {1: 1}),
        ("rx(-(-pi)) q[0]; rx(sin(0) + sqrt(4) ** 2 - 4) q[0]; c = measure q;", {1: 1}),
        ("float a = 1.5e0; angle b = a * 2 - 3 + π; rx(b) q[0]; c = measure q;", {1: 1}),
        ("box { x q[1]; } barrier q; delay[100ns] q[0]; c = measure q;", {2: 1}),
        ("x q[0]; swap q[0], q[1]; // x\n /* x q[2]; */ c = measure q;", {2: 1}),
        ("gpi(0.3) q[0]; c = measure q;", {1: 1}),
        ("reset q[0]; x q[0]; c = measure q;", "dynamic"),
    ],
)
def test_what_is_understood(text: str, want: object) -> None:
    """One construct each."""
    if want is None:
        with pytest.raises(Unreadable, match="line 5"):
            outcome(text)
    elif want == "dynamic":
        assert from_qasm3(HEAD + text).dynamic
    else:
        assert close(outcome(text), want)  # type: ignore[arg-type]


def test_conditions_on_measured_bits() -> None:
    """Of a bit, of a register, of several; both sides; in both versions of the language."""
    three = HEAD + "x q[0]; c[0] = measure q[0]; {} c[1] = measure q[1];"
    for condition in ("c[0]", "c[0] == 1", "c == 1", "!c[1]", "c[0] && c[1] == 0", "c != 2"):
        text = three.replace("{}", f"if ({condition}) {{ x q[1]; }} else {{ x q[2]; }}")
        assert sampling.sample(from_qasm3(text), None, 20, 1) == {3: 1.0}, condition
    two = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; creg c[2]; x q[0]; measure q[0] -> c[0]; '
    assert sampling.sample(from_qasm2(two + "if(c==1) x q[1]; measure q[1] -> c[1];"), None, 20, 1) == {3: 1.0}


def test_parameters_of_a_program() -> None:
    """In the order of their declaration."""
    template = template_from_qasm3("input float[64] b; input angle a; qubit q; rx(a) q; rz(b) q;")
    assert template.parameters == ("b", "a")
    assert [g.angle_rad for g in template.bind((0.1, 0.2)).gates if isinstance(g, Gate)] == [0.2, 0.1]


def test_native_gates_of_trapped_ions() -> None:
    """By IonQ's definitions: gpi(φ) = [[0, e^−2πiφ], [e^2πiφ, 0]], and so on; phases in turns."""
    e = math.e ** (2j * math.pi * 0.2)
    assert gpi(0.2)[1][0] == pytest.approx(e)
    assert gpi2(0.2)[0][1] == pytest.approx(-1j / e / math.sqrt(2))
    assert ms(0.2, 0.1)[3][0] == pytest.approx(-1j * math.e ** (2j * math.pi * 0.3) / math.sqrt(2))
    text = "qubit[2] q; bit[2] c; gpi2(0.1) q[0]; ms(0, 0, 0.25) q[0], q[1]; zz(0.2) q[0], q[1]; c = measure q;"
    with pytest.raises(Unreadable, match="'zz' is not known"):
        from_qasm3(text)


# ---------------------------------------------------------------- Braket


def test_what_brakets_sdk_writes() -> None:
    """Its gates, physical qubits, a verbatim box, inputs, and measurement bit by bit."""
    text = """OPENQASM 3.0;
input float theta;
bit[2] b;
qubit[2] q;
#pragma braket verbatim
box{
rx(theta) q[0];
}
cnot q[0], q[1];
phaseshift(0.1) q[1];
b[0] = measure q[0];
b[1] = measure q[1];
"""
    assert close(sampling.exact(from_braket_qasm(text, {"theta": math.pi}), None), {3: 1})
    with pytest.raises(Unreadable, match="'theta' has no value"):
        from_braket_qasm(text)
    physical = from_braket_qasm("bit[2] b; x $4; cz $4, $1; b[0] = measure $4; b[1] = measure $1;")
    assert (physical.qubits, physical.used, sampling.exact(physical, None)) == (5, (1, 4), {1: 1.0})


def test_brakets_matrices_have_their_first_qubit_as_the_most_significant() -> None:
    """A unitary pragma, and its phase gates on 01 and 10."""
    matrix = "[[0, 0, 1.0, 0], [0, 0, 0, 1im], [1.0 + 0im, 0, 0, 0], [0, -1.0im, 0, 0]]"
    text = f"qubit[2] q; bit[2] b;\n#pragma braket unitary({matrix}) q[0], q[1]\nb = measure q;"
    found = from_braket_qasm(text)
    assert close(sampling.exact(found, None), {1: 1})
    assert [g.name for g in found.gates if isinstance(g, Gate)] == [UNITARY]
    for name, start in (("cphaseshift01", "x q[1]; h q[0];"), ("cphaseshift10", "x q[0]; h q[1];")):
        seen = f"qubit[2] q; bit[2] b; {start} {name}(pi) q[0], q[1]; h q[0]; h q[1]; b = measure q;"
        assert len(sampling.exact(from_braket_qasm(seen), None)) == 2


@pytest.mark.parametrize("text", ["cx q[0], q[1];", "#pragma braket noise bit_flip(0.1) q[0]\n"])
def test_what_braket_does_not_know(text: str) -> None:
    """Names the gate and its line."""
    with pytest.raises(Unreadable, match="line 2"):
        from_braket_qasm("qubit[2] q;\n" + text)


# ---------------------------------------------------------------- bad input


BAD = [
    "foo q[0];",
    "h r[0];",
    "h q[3];",
    "h q[0]",
    "cx q[0], q[0];",
    "rx q[0];",
    "rx(1/0) q[0];",
    "rx(9**9**9) q[0];",
    "rx(0**-1) q[0];",
    "rx((-1)**0.5) q[0];",
    "rx(arcsin(2)) q[0];",
    "rx(x) q[0];",
    "rx(1e999) q[0];",
    f"rx({'9' * 5000}) q[0];",
    f"rx({'(' * 100_000}1) q[0];",
    f"rx({'-' * 100_000}1) q[0];",
    f"rx({'sin(' * 100_000}1) q[0];",
    "{" * 100_000,
    "if (c[0]) " * 50_000 + "x q[0];",
    "inv @ " * 50_000 + "x q[0];",
    "ctrl(1000000) @ x q[0];",
    "qubit[100000000] r;",
    "qubit[0] r;",
    "qubit[-1] r;",
    "qubit[3] q;",
    "gate a x { a x; } a q[0];",
    "gate a x { measure x -> c[0]; } a q[0];",
    "gate a x {",
    "for int i in [0:1000000000] { x q[0]; }",
    "for int i in [0:300] { for int j in [0:1000] { x q[0]; } }",
    "for int i in [0:5] { for int j in [0:99999] { } }",
    "".join(["gate a0 x { x x; x x; } "] + [f"gate a{k} x {{ a{k - 1} x; a{k - 1} x; }} " for k in range(1, 40)])
    + "a39 q[0];",
    "h q;" * 60_000,
    "while (true) { }",
    "def f() { }",
    "defcal x $0 { }",
    'include "/etc/passwd";',
    "c = 1;",
    "c[0] = measure q;",
    "c[0] = measure q[0]; if (c[0] + 1 == 2) x q[0];",
    "c[0] = measure q[0]; if (c == 9) x q[0];",
    "int n = 0; c[0] = measure q[0]; if (c[0]) { n = 1; }",
    "/* no end",
    "x q[0]; \x00",
    "\ud800;",
    '"open',
    "$99999999999 ;",
    "x $0;",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_bad_program_is_named_with_its_line_and_soon(text: str) -> None:
    """Nothing else is raised, and nothing takes long."""
    started = time.process_time()  # other work on the machine is not what is measured
    with pytest.raises(Unreadable, match="line "):
        from_qasm3(HEAD + text)
    assert time.process_time() - started < 25


def test_a_huge_program_is_refused_before_it_is_read() -> None:
    """50 MB."""
    with pytest.raises(Unreadable, match="longer than"):
        from_qasm3("x q;" * (MOST_CHARACTERS // 4 + 1))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="qc[](){};,=-+*/@ \n01.2hxif$#", max_size=60), st.integers(0, 200))
def test_any_text_is_a_circuit_or_unreadable(noise: str, at: int) -> None:
    """A good program with noise somewhere in it."""
    good = HEAD + "h q[0]; cx q[0], q[1]; c[0] = measure q[0]; if (c[0]) { x q[2]; } c[2] = measure q[2];"
    for reader in (from_qasm3, from_braket_qasm):
        try:
            found = reader(good[:at] + noise + good[at:])
        except Unreadable:
            continue
        assert isinstance(found, Circuit)


def cut(data: bytes) -> Iterator[bytes]:
    """A few hundred ways to break a file: cut, with bytes changed, with sizes blown up."""
    rng = random.Random(4)
    for k in range(400):
        broken = bytearray(data)
        if k % 4 == 0:
            broken = broken[: rng.randrange(len(broken))]
        elif k % 4 == 1:
            at = rng.randrange(6, len(broken) - 8)
            broken[at : at + 8] = struct.pack("!Q", rng.choice((2**64 - 1, 2**63, 2**32 - 1, 10**6)))
        else:
            for _ in range(rng.choice((1, 2, 5))):
                broken[rng.randrange(6, len(broken))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        yield bytes(broken)


@pytest.mark.parametrize("version", [VERSIONS[0], 16, VERSIONS[-1]])
def test_a_broken_qpy_is_a_circuit_or_unreadable(version: int) -> None:
    """Never another exception, nor an end of the process: it was one for files that promise billions of bits."""
    circuit = efficient_su2(3, reps=1)
    circuit.measure_all()
    flow = QuantumCircuit(2, 2)
    flow.h(0)
    flow.measure(0, 0)
    with flow.if_test((flow.clbits[0], 1)):
        flow.append(measured(3, 2).remove_final_measurements(inplace=False).to_instruction(), [0, 1])
    for data in cut(dumped(circuit, flow, version=version)):
        try:
            found = templates_from_qpy(data)
        except Unreadable:
            continue
        assert all(isinstance(t, Template) for t in found)
        for template in found:
            try:
                template.bind([0.1] * len(template.parameters))
            except Unreadable:
                continue


def delayed(duration: float, unit: str, old: bytes, new: bytes, version: int) -> bytes:
    """A file with a delay whose duration, written as ``old``, is overwritten."""
    circuit = QuantumCircuit(1, 1)
    circuit.delay(duration, 0, unit)
    data = dumped(circuit, version=version)
    assert data.count(old) == 1
    return data.replace(old, new)


@pytest.mark.parametrize("version", [13, 16, VERSIONS[-1]])
def test_a_delay_that_can_not_be_is_unreadable(version: int) -> None:
    """Found by mutation: qiskit refuses it, or stumbles over it, only when the instruction is looked at."""
    double, order = struct.Struct("!d" if version == 18 else "<d"), "!q" if version == 18 else "<q"
    seven = struct.pack(order, 7)
    broken = [delayed(7, "dt", seven, struct.pack(order, -7), version)]
    for bad in (-7.25, math.nan, math.inf, -math.inf):
        broken.append(delayed(7.25, "ns", double.pack(7.25), double.pack(bad), version))
    for data in broken:
        with pytest.raises(Unreadable, match="delay can't last"):
            from_qpy(data)


@pytest.mark.parametrize("version", VERSIONS)
def test_delays_change_nothing(version: int) -> None:
    """Also those whose unit QPY loses: fractions of nanoseconds, and parameters."""
    time = Parameter("time")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.delay(7.25, 0, "ns")
    circuit.delay(time, 1, "us")
    (template,) = templates_from_qpy(dumped(circuit, version=version))
    assert template.bind([2.5]).gates == (Gate("h", (0,)),)
    with pytest.raises(Unreadable, match="delay can't last"):
        template.bind([-2.5])


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63, 2**64 - 1, 10_000])
def test_a_circuit_that_begins_nowhere_is_unreadable(offset: int) -> None:
    """Found by mutation: where the file says that its circuit begins, larger than any place."""
    data = bytearray(dumped(measured(1), version=16))
    head = struct.calcsize("!6sBBBBQc") + 1
    assert struct.unpack_from("!Q", data, head)[0] < len(data)
    struct.pack_into("!Q", data, head, offset)
    with pytest.raises(Unreadable, match="ends too early"):
        from_qpy(bytes(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no QPY"),
        (b"QISKIT", "no QPY"),
        (b"x" * 100, "no QPY"),
        (dumped(measured(1))[:6] + b"\x03" + dumped(measured(1))[7:], "version 3"),
        (dumped(measured(1))[:6] + b"\xff" + dumped(measured(1))[7:], "version 255"),
        (b"QISKIT" + b"\0" * 20_000_000, "larger than"),
    ],
)
def test_what_is_no_qpy_says_why(data: bytes, why: str) -> None:
    """With the versions that are read."""
    with pytest.raises(Unreadable, match=why):
        from_qpy(data)


def test_what_qpy_may_hold_and_is_not_simulated_is_named() -> None:
    """Loops without an end that is known."""
    circuit = QuantumCircuit(1, 1)
    with circuit.while_loop((circuit.clbits[0], 0)):
        circuit.h(0)
        circuit.measure(0, 0)
    with pytest.raises(Unreadable, match="while_loop"):
        from_qpy(dumped(circuit))


def test_values_have_to_be_numbers_and_as_many_as_parameters() -> None:
    """A message for each."""
    template = template_from_qasm3("input float a; qubit q; rx(a) q;")
    for values in ((), (1.0, 2.0), (math.nan,), (math.inf,)):
        with pytest.raises(Unreadable):
            template.bind(values)
    with pytest.raises(Unreadable):
        from_qasm3("input float a; qubit q; rx(a) q;")
