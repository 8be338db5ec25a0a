"""IBM's ways to put arrays, circuits and dates into JSON, written after its client's encoder and schemas.

Two dialects: the typed objects ``{"__type__": …, "__value__": …}`` of the legacy programs, and the tensors
``{"data", "shape", "dtype"}`` of the executor. Everything that comes in may be broken, huge or nested.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.clock import date_at
from harness.providers._protocol import Refusal

#: what a compressed part may grow to; a body of 50 MB could hold 50 GB
MAX_INFLATED = 256_000_000
#: elements of one array
MAX_ELEMENTS = 20_000_000

#: tensor dtype → (numpy's little-endian dtype, bytes an element); ``bool`` is packed eight to a byte
_DTYPES = {
    "f16": ("<f2", 2.0),
    "f32": ("<f4", 4.0),
    "f64": ("<f8", 8.0),
    "i8": ("<i1", 1.0),
    "i16": ("<i2", 2.0),
    "i32": ("<i4", 4.0),
    "i64": ("<i8", 8.0),
    "u8": ("<u1", 1.0),
    "u16": ("<u2", 2.0),
    "u32": ("<u4", 4.0),
    "u64": ("<u8", 8.0),
    "c64": ("<c8", 8.0),
    "c128": ("<c16", 16.0),
    "bool": ("bool", 0.125),
}


def load(body: bytes) -> Mapping[str, Any]:
    """A body that is a JSON object; raises Refusal."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "Body is wrong: it is not valid JSON.", 3500) from None
    if not isinstance(found, dict):
        raise Refusal(400, "Body is wrong: it must be an object.", 3500)
    return found


def dumps(value: object) -> bytes:
    """JSON that keeps the order of keys: it is the order of a result's registers."""
    return json.dumps(value, separators=(",", ":")).encode()


def unpack(text: object, place: str) -> bytes:
    """The bytes of a base64 string; raises Refusal."""
    if not isinstance(text, str):
        raise invalid(place, "must be a base64 string")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(place, "is not base64") from None


def inflate(data: bytes, place: str) -> bytes:
    """What zlib compressed; raises Refusal, for a bomb too."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, MAX_INFLATED)
    except zlib.error:
        raise invalid(place, "is not compressed with zlib") from None
    if stream.unconsumed_tail:
        raise Refusal(413, f'"{place}" is larger than {MAX_INFLATED} bytes.', 3248)
    if not stream.eof:
        raise invalid(place, "ends too early")
    return found


def circuit_bytes(value: object, place: str) -> bytes:
    """QPY of a typed circuit; raises Refusal."""
    if not isinstance(value, dict) or value.get("__type__") != "QuantumCircuit":
        raise invalid(place, "must be a circuit")
    return inflate(unpack(value.get("__value__"), place), place)


def array(value: object, place: str) -> Any:
    """A numeric array out of a typed one, a list, or a number; raises Refusal."""
    import numpy as np

    inner = value.get("__value__") if isinstance(value, dict) and value.get("__type__") == "ndarray" else value
    try:
        if isinstance(inner, str):
            return _numeric(_npy(inflate(unpack(inner, place), place)), place)
        return _numeric(np.asarray(inner, dtype=float), place)
    except (ValueError, TypeError, OSError, EOFError, OverflowError, RecursionError, SyntaxError):
        raise invalid(place, "is not an array of numbers") from None


def _npy(raw: bytes) -> Any:
    """An array in numpy's own format. Its header is read first: it may claim any size."""
    import numpy as np
    from numpy.lib import format as npy

    stream = io.BytesIO(raw)
    read = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    data = raw[stream.tell() :]
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("data do not fill the shape")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _numeric(found: Any, place: str) -> Any:
    import numpy as np

    if not hasattr(found, "dtype") or found.dtype.kind not in "biuf" or found.size > MAX_ELEMENTS:
        raise invalid(place, "is not an array of numbers")
    made = found.astype(float)
    if not np.isfinite(made).all():
        raise invalid(place, "holds a number that is not finite")
    return made


def tensor(value: object, place: str, compressed: bool) -> Any:
    """An array out of a tensor; raises Refusal."""
    import numpy as np

    if not isinstance(value, dict):
        raise invalid(place, "must be a tensor")
    kind, size = _DTYPES.get(str(value.get("dtype")), ("", 0.0))
    shape = shape_of(value.get("shape"), place)
    if not kind:
        raise invalid(place, "has no known dtype")
    raw = unpack(value.get("data"), place)
    raw = inflate(raw, place) if compressed else raw
    elements = math.prod(shape)
    if elements > MAX_ELEMENTS or len(raw) != math.ceil(elements * size):
        raise invalid(place, "has data that do not fill its shape")
    if kind == "bool":
        bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), bitorder="little")
        return bits[:elements].astype(bool).reshape(shape)
    return np.frombuffer(raw, dtype=kind).reshape(shape)


def shape_of(value: object, place: str) -> tuple[int, ...]:
    """The shape of an array; raises Refusal."""
    if not isinstance(value, list) or not all(isinstance(n, int) and n >= 0 for n in value):
        raise invalid(place, "has no shape")
    return tuple(value)


def told_array(values: Any) -> dict[str, Any]:
    """A typed array."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    packed = base64.b64encode(zlib.compress(buffer.getvalue(), 1)).decode()
    return {"__type__": "ndarray", "__value__": packed}


def told_tensor(values: Any, compressed: bool) -> dict[str, Any]:
    """A tensor of booleans or of double floats."""
    import numpy as np

    if values.dtype == np.bool_:
        kind, raw = "bool", np.packbits(values.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    else:
        kind, raw = "f64", values.astype("<f8").tobytes()
    packed = zlib.compress(raw, 1) if compressed else raw
    return {"data": base64.b64encode(packed).decode(), "shape": list(values.shape), "dtype": kind}


def told_date(at_ns: int | None) -> dict[str, Any]:
    """A typed date; the play's beginning if there is none."""
    return {"__type__": "datetime", "__value__": iso(at_ns or 0)}


def typed(name: str, **fields: object) -> dict[str, Any]:
    """A typed object."""
    return {"__type__": name, "__value__": fields}


def data_bin(shape: Sequence[int], fields: Mapping[str, object]) -> dict[str, Any]:
    """The data of a pub's result."""
    return typed("DataBin", field_names=list(fields), shape=list(shape), fields=dict(fields))


def iso(at_ns: int | None) -> str | None:
    """A play's time as IBM writes dates; None stays None."""
    if at_ns is None:
        return None
    return date_at(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def typed_objects(value: object, name: str) -> Iterator[Mapping[str, Any]]:
    """The values of every typed object of that name inside a value, outermost first, in order."""
    if isinstance(value, dict):
        if value.get("__type__") == name and isinstance(value.get("__value__"), dict):
            yield value["__value__"]
        for inner in value.values():
            yield from typed_objects(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from typed_objects(inner, name)


def invalid(place: str, why: str) -> Refusal:
    """A field of the payload is wrong."""
    return Refusal(400, f'Payload not valid: "{place}" {why}.', 3220)
