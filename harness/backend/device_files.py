"""Devices from files, in the shapes that vendors publish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.backend import publishing
from harness.backend.devices import Device
from harness.errors import FileProblem, Place

_SHAPES = (
    "IBM: {configuration, properties}, or props_<name>.json beside conf_<name>.json; IonQ: a characterization; "
    "Braket: device capabilities; OQTOPUS: a device_info"
)


def device_from_file(path: Path | str) -> Device:
    """The device that a published calibration describes; raises FileProblem.

    Braket's capabilities don't name their device: it gets the file's name.
    """
    path = Path(path)
    document = _loaded(path)
    try:
        if found := _device(document, path):
            return found
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileProblem(Place(str(path)), f"this is no calibration that can be read: {error!r}", _SHAPES) from None
    raise FileProblem(Place(str(path)), "the shape of this file is not known", _SHAPES)


def _device(document: Mapping[str, Any], path: Path) -> Device | None:
    if "configuration" in document and "properties" in document:
        return publishing.ibm.read(document["configuration"], document["properties"])
    if "backend_name" in document and "qubits" in document and "gates" in document:
        return publishing.ibm.read(_sibling(path), document)
    if "fidelity" in document and "connectivity" in document:
        return publishing.ionq.read(document)
    if "paradigm" in document and "service" in document:
        return publishing.braket.read(document, path.stem)
    if "device_id" in document:
        return publishing.oqtopus.read(document)
    return None


def _sibling(path: Path) -> Mapping[str, Any]:
    """IBM's properties know neither limits nor gates: these are in the configuration."""
    name = path.name.removeprefix("props_").removeprefix("properties_")
    for prefix in ("conf_", "configuration_"):
        if (beside := path.with_name(prefix + name)).is_file():
            return _loaded(beside)
    raise FileProblem(Place(str(path)), "IBM's properties need their configuration", f"put conf_{name} beside the file")


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileProblem(Place(str(path)), f"can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FileProblem(Place(str(path)), f"is no JSON: {error}", _SHAPES) from None
    if not isinstance(document, dict):
        raise FileProblem(Place(str(path)), "is no JSON object", _SHAPES)
    return document
