"""Read weights back from a graph's file, without the onnx package and without other content."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ncf.errors import ArtifactError

# Numbers of fields in onnx.proto, and the type of a tensor of 32-bit floats.
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _TYPE, _FLOATS, _NAME, _RAW, _EXTERNAL = 1, 2, 4, 8, 9, 13
_KEY, _VALUE = 1, 2
_FLOAT32 = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, int | memoryview]


def read_initializers(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Read some float32 initializers of a graph.

    Source: the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding) and
    onnx.proto, whose numbers of fields never change.

    Parameters
    ----------
    path : Path
        ONNX file; large tensors may be stored in a file beside it.
    names : iterable of str
        The wanted initializers; those that the graph does not have are left out.

    Raises
    ------
    ArtifactError
        The file cannot be understood.
    """
    wanted = {name.encode(): name for name in names}
    found = {}
    try:
        for tensor in _tensors(np.memmap(path, np.uint8, "r").data):
            fields = list(_fields(tensor))
            name = next((bytes(_view(value)) for number, value in fields if number == _NAME), b"")
            if name in wanted:
                found[wanted[name]] = _array(fields, path.parent)
    except (ValueError, LookupError, TypeError, OverflowError, OSError) as error:
        raise ArtifactError(f"not a graph ({error})", where=path) from error
    return found


def _tensors(model: memoryview) -> Iterator[memoryview]:
    for number, graph in _fields(model):
        if number == _GRAPH:
            for inner, tensor in _fields(_view(graph)):
                if inner == _INITIALIZER:
                    yield _view(tensor)


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield number and value of each field: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _array(fields: list[Field], folder: Path) -> npt.NDArray[np.float32]:
    dims: list[int] = []
    raw = b""
    place: dict[str, str] = {}
    for number, value in fields:
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif number == _TYPE and value != _FLOAT32:
            raise ValueError("not a tensor of 32-bit floats")
        elif number in {_RAW, _FLOATS}:
            raw += bytes(_view(value))
        elif number == _EXTERNAL:
            entry = {key: bytes(_view(text)).decode() for key, text in _fields(_view(value))}
            place[entry[_KEY]] = entry[_VALUE]
    if place:
        # Only the name of the path is used: nothing outside the folder is read.
        with (folder / Path(place["location"]).name).open("rb") as file:
            file.seek(int(place.get("offset", 0)))
            raw = file.read(int(place["length"]))
    return np.frombuffer(raw, "<f4").reshape(dims)


def _varints(packed: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    return values


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number instead of bytes")
    return value
