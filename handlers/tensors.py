"""KServe's V2 protocol around an answer: metadata, binary tensors, the outputs asked for.

Source: the Open Inference Protocol (V2) and its extension ``binary_tensor_data``.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from handlers.encoding import compact, parse
from handlers.kserve import is_kserve
from ncf.errors import RequestError

EXTENSIONS = ["binary_tensor_data"]
HEADER_LENGTH = b"inference-header-content-length"
INPUTS = {
    "user": ("BYTES", 1),
    "k": ("INT64", 1),
    "exclude": ("BYTES", -1),
    "candidates": ("BYTES", -1),
    "include_seen": ("BOOL", 1),
    "exact": ("BOOL", 1),
    "history": ("BYTES", -1),
}
OUTPUTS = {"item": ("BYTES", -1), "title": ("BYTES", -1), "score": ("FP32", -1)}
_DTYPES = {
    "BOOL": "?",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
_LENGTH = struct.Struct("<I")


def metadata(name: str, version: str) -> dict[str, Any]:
    """Describe a model's tensors; all inputs but ``user`` or ``history`` are optional."""

    def tensors(known: Mapping[str, tuple[str, int]]) -> list[dict[str, Any]]:
        return [{"name": n, "datatype": t, "shape": [size]} for n, (t, size) in known.items()]

    return {
        "name": name,
        "versions": [version],
        "platform": "ncf_onnxruntime",
        "inputs": tensors(INPUTS),
        "outputs": tensors(OUTPUTS),
    }


def read(body: bytes, header_length: int | None) -> dict[str, Any]:
    """Read an inference request whose tensors are JSON, or bytes after the JSON.

    Raises
    ------
    RequestError
        The body is not JSON with ``inputs``, or lengths do not fit.
    """
    length = len(body) if header_length is None else header_length
    if not 0 <= length <= len(body):
        raise RequestError("Inference-Header-Content-Length is beyond the body")
    try:
        document = parse(body[:length])
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON") from error
    if not isinstance(document, dict) or not is_kserve(document):
        raise RequestError("the body has no 'inputs'", remedy='send "inputs": [...]')
    inputs = document["inputs"]
    for each in inputs if isinstance(inputs, list) else []:
        if isinstance(each, dict):
            length = _fill(each, body, length)
    if length != len(body):
        raise RequestError("the sizes of the binary tensors do not add up to the body")
    return document


def write(answer: bytes, asked: Mapping[str, Any]) -> tuple[bytes, int | None]:
    """Leave out the outputs that were not asked for, and write those in bytes that should be.

    Parameters
    ----------
    answer : bytes
        The answer as JSON, with every output.
    asked : mapping
        The request.

    Returns
    -------
    bytes, int or None
        The body, and the length of its JSON if binary tensors follow.

    Raises
    ------
    RequestError
        There is no such output.
    """
    every = bool(_parameter(asked, "binary_data_output"))
    wanted = asked.get("outputs")
    if wanted is None and not every:
        return answer, None
    document = parse(answer)
    assert isinstance(document, dict)  # noqa: S101 - we wrote it
    outputs = {each["name"]: each for each in document["outputs"]}
    binary = dict.fromkeys(outputs, every)
    if wanted is not None:
        binary = _wanted(wanted, every=every)
    # A list of popular items has no scores.
    document["outputs"] = [outputs[name] for name in binary if name in outputs]
    tail = []
    for each in document["outputs"]:
        if binary[each["name"]]:
            tail.append(_packed(each.pop("data"), each["datatype"]))
            each["parameters"] = {"binary_data_size": len(tail[-1])}
    head = compact(document)
    return head + b"".join(tail), len(head) if tail else None


def _wanted(outputs: object, *, every: bool) -> dict[str, bool]:
    """Names of the outputs to give, and whether in bytes."""
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise RequestError("'outputs' must be a list of objects with 'name'")
    found = {}
    for each in outputs:
        name = each.get("name")
        if not isinstance(name, str) or name not in OUTPUTS:
            raise RequestError(f"no output {str(name)[:80]!r}; known: {', '.join(OUTPUTS)}")
        given = _parameter(each, "binary_data")
        found[name] = every if given is None else bool(given)
    return found


def _fill(tensor: dict[str, Any], body: bytes, start: int) -> int:
    """Take a tensor's data out of the bytes if it is there; give where the next one starts."""
    size = _parameter(tensor, "binary_data_size")
    if size is None:
        tensor["data"] = _flat(tensor.get("data"))
        return start
    if type(size) is not int or not 0 <= size <= len(body) - start:
        raise RequestError("'binary_data_size' is beyond the body")
    tensor["data"] = _unpacked(body[start : start + size], tensor.get("datatype"))
    return start + size


def _parameter(of: Mapping[str, Any], name: str) -> object:
    parameters = of.get("parameters")
    return parameters.get(name) if isinstance(parameters, dict) else None


def _flat(data: object) -> object:
    """Flatten rows of a tensor, as JSON may nest them; deeper nesting is refused later."""
    if isinstance(data, list) and data and all(isinstance(each, list) for each in data):
        return [value for row in data for value in row]
    return data


def _unpacked(content: bytes, datatype: object) -> list[Any]:
    if datatype == "BYTES":
        texts, place = [], 0
        while place < len(content):
            if place + _LENGTH.size > len(content):
                raise RequestError("a binary tensor ends within a length")
            (length,) = _LENGTH.unpack_from(content, place)
            place += _LENGTH.size
            if place + length > len(content):
                raise RequestError("a binary tensor ends within a text")
            texts.append(content[place : place + length].decode(errors="surrogateescape"))
            place += length
        return texts
    if not isinstance(datatype, str) or datatype not in _DTYPES:
        raise RequestError(f"no datatype {str(datatype)[:80]!r}")
    dtype = np.dtype(_DTYPES[datatype])
    if len(content) % dtype.itemsize:
        raise RequestError("a binary tensor ends within a number")
    values: npt.NDArray[Any] = np.frombuffer(content, dtype)
    found: list[Any] = values.tolist()
    return found


def _packed(data: list[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [text.encode() for text in data]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    return np.array(data, _DTYPES[datatype]).tobytes()
