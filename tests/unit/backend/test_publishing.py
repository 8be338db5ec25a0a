"""What devices publish says what they are simulated with; real clients' parsers take it."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backend.device_files import device_from_file
from harness.backend.devices import Device
from harness.backend.fleet import FLEET
from harness.backend.publishing import braket, characterize, ibm, ionq, oqtopus, view_of
from harness.errors import FileProblem, UsageProblem
from tests.clients.environments import interpreter

LISTED = [(d, family) for d in FLEET for family in d.families]
#: program → reads the file whose name it gets, and prints a number of qubits
PARSERS = {
    "ibm": """
import json, sys
from qiskit_ibm_runtime.utils.backend_converter import convert_to_target
from qiskit_ibm_runtime.utils.backend_decoder import configuration_from_server_data, properties_from_server_data
from qiskit import QuantumCircuit, transpile
told = json.load(open(sys.argv[1]))
configuration = configuration_from_server_data(told["configuration"])
target = convert_to_target(configuration, properties_from_server_data(told["properties"]))
circuit = QuantumCircuit(3)
circuit.h(0); circuit.cx(0, 1); circuit.cx(1, 2); circuit.measure_all()
assert transpile(circuit, target=target, optimization_level=1).num_qubits == target.num_qubits
print(target.num_qubits)
""",
    "braket": """
import sys
import braket.device_schema.iqm, braket.device_schema.rigetti, braket.device_schema.ionq
import braket.device_schema.simulators
from braket.schema_common import BraketSchemaBase
print(BraketSchemaBase.parse_raw_schema(open(sys.argv[1]).read()).paradigm.qubitCount)
""",
}


def written(device: Device, family: str, folder: Path) -> Path:
    path = folder / f"{device.name}.json"
    path.write_text(json.dumps(characterize(device, 1, family), allow_nan=False))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(("device", "family"), LISTED, ids=[f"{f}-{d.name}" for d, f in LISTED])
def test_a_device_comes_back_from_what_it_publishes(device: Device, family: str, tmp_path: Path) -> None:
    """With its calibration, as far as the vendor publishes it: IonQ medians, Braket one readout error a qubit."""
    found = device_from_file(written(device, family, tmp_path))
    assert (found.name, found.qubits, found.families) == (device.name, device.qubits, (family,))
    if device.calibration is None:
        assert found.calibration is None
        return
    assert found.coupling == device.coupling
    assert found.calibration is not None
    for ours, theirs in zip(device.calibration.qubits, found.calibration.qubits, strict=True):
        assert theirs.error_1q == pytest.approx(ours.error_1q, abs=1e-12)
        assert theirs.readout_error == pytest.approx(ours.readout_error, abs=1e-12)
        assert theirs.t1_us == pytest.approx(ours.t1_us)
    for a, b in device.pairs:
        assert found.calibration.error_of(a, b) == pytest.approx(device.calibration.error_of(a, b), abs=1e-12)
    if family in ("ibm", "ionq"):
        assert found.calibration == device.calibration


@pytest.mark.parametrize("device", [d for d in FLEET if d.calibration], ids=lambda d: d.name)
def test_what_is_told_is_published_not_what_is(device: Device) -> None:
    """A fault that tells of another calibration, another size, another time."""
    assert device.calibration is not None
    told = replace(
        view_of(device),
        calibration=device.calibration.drifted(3.0),
        calibrated_ns=3_600_000_000_000,
        qubits=device.qubits - 1,
        firmware="9.9.9",
    )
    family = device.families[0]
    if family == "ibm":
        properties = ibm.properties(device, told)
        assert len(properties["qubits"]) == ibm.configuration(device, told)["n_qubits"] == device.qubits - 1
        assert properties["last_update_date"] != ibm.properties(device, view_of(device))["last_update_date"]
        assert all(max(g["qubits"]) < told.qubits for g in properties["gates"])
    elif family == "braket":
        found = braket.capabilities(device, told)
        assert found["paradigm"]["qubitCount"] == len(found["standardized"]["oneQubitProperties"])
    elif family == "ionq":
        found = ionq.characterization(device, told, 1)
        assert found["fidelity"]["2q"]["median"] == pytest.approx(1 - 3 * device.calibration.error_2q)
    else:
        assert len(oqtopus.device_info(device, told)["qubits"]) == device.qubits - 1


@pytest.mark.parametrize("device", FLEET, ids=lambda d: d.name)
def test_no_calibration_can_be_told(device: Device) -> None:
    """Nothing breaks, and nothing is no number."""
    silent = replace(view_of(device), calibration=None)
    told = [ibm.properties(device, silent), braket.capabilities(device, silent), oqtopus.device_info(device, silent)]
    assert json.dumps([*told, ionq.characterization(device, silent, 1)], allow_nan=False)


@pytest.mark.parametrize(
    ("device", "family"), [x for x in LISTED if x[1] in PARSERS], ids=[d.name for d, f in LISTED if f in PARSERS]
)
def test_real_clients_parse_it(device: Device, family: str, tmp_path: Path) -> None:
    """qiskit-ibm-runtime compiles for it; braket.device_schema validates it."""
    command = [str(interpreter(family)), "-c", PARSERS[family], str(written(device, family, tmp_path))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout) == device.qubits


def test_only_vendors_that_list_a_device_publish_it() -> None:
    """Says who does."""
    with pytest.raises(UsageProblem, match="ibm does not list SV1; braket does"):
        characterize(next(d for d in FLEET if d.name == "SV1"), 1, "ibm")


def test_ibms_properties_are_read_beside_their_configuration(tmp_path: Path) -> None:
    """As the files of published snapshots lie; a gate that does not work errs as much as one can."""
    told = characterize(next(d for d in FLEET if d.name == "ibm_thule"))
    properties = json.loads(json.dumps(told["properties"]))
    for gate in properties["gates"]:
        if gate["gate"] == "cx" and {*gate["qubits"]} == {0, 1}:
            gate["parameters"][0]["value"] = 1
    (tmp_path / "props_x.json").write_text(json.dumps(properties))
    with pytest.raises(FileProblem, match="need their configuration"):
        device_from_file(tmp_path / "props_x.json")
    (tmp_path / "conf_x.json").write_text(json.dumps(told["configuration"]))
    found = device_from_file(tmp_path / "props_x.json").calibration
    assert found is not None
    assert (found.error_of(0, 1), found.error_of(1, 2) < 0.1) == (0.75, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "no",
        "[" * 100_000,
        '{"fidelity": {}, "connectivity": []}',
        '{"configuration": 1, "properties": 2}',
        '{"backend": "x", "qubits": 2, "connectivity": [[0, 1]], "fidelity": '
        '{"2q": {"median": 7}, "1q": {"median": 1}, "spam": {"median": 1}}}',
    ],
)
def test_a_file_that_is_none_says_what_would_be_one(text: str, tmp_path: Path) -> None:
    """With its path."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(FileProblem, match=r"x\.json"):
        device_from_file(path)
    with pytest.raises(FileProblem, match="can't be read"):
        device_from_file(tmp_path / "absent.json")


def test_nothing_published_is_infinite() -> None:
    """JSON has no such numbers."""
    for device, family in LISTED:
        assert "Infinity" not in json.dumps(characterize(device, 1, family))
    assert math.isinf(next(d for d in FLEET if d.name == "qpu.forte-1").calibration.qubits[0].t1_us)  # type: ignore[union-attr]
