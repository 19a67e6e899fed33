"""Read and answer KServe's V2 protocol (``/v2/models/ncf/infer``), which uses tensors.

TorchServe passes the body on unchanged and does not tell the route, so a body with ``inputs``
is taken for a request of this protocol.
"""

from collections.abc import Mapping
from typing import Any

from handlers.encoding import compact
from handlers.requests import use_of
from ncf.errors import RequestError
from ncf.scoring.queries import Recommendation

_SINGLE = ("user", "k", "include_seen", "exact")
_EXAMPLE = 'send "inputs": [{"name": "user", "shape": [1], "datatype": "BYTES", "data": ["196"]}]'


def is_kserve(body: Mapping[str, Any]) -> bool:
    """Whether a body uses this protocol."""
    return "inputs" in body


def fields_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a request for one user, not yet checked.

    Raises
    ------
    RequestError
        The inputs are malformed, or ask for several users.
    """
    inputs, fields = body["inputs"], {}
    if not isinstance(inputs, list):
        raise RequestError("'inputs' must be a list", remedy=_EXAMPLE)
    for each in inputs:
        name, data = (each.get("name"), each.get("data")) if isinstance(each, dict) else (None, 0)
        if not isinstance(name, str) or not isinstance(data, list):
            raise RequestError("an input needs 'name' and 'data', a list", remedy=_EXAMPLE)
        if name in _SINGLE and len(data) != 1:
            raise RequestError(f"input {name!r} must hold one value", remedy="one user a request")
        fields[name] = data[0] if name in _SINGLE else data
    return fields


def encode(found: Recommendation, name: str, model: str, body: Mapping[str, Any]) -> bytes:
    """Encode one answer as tensors ``item``, ``title`` and, where there are scores, ``score``."""
    outputs = [
        _tensor("item", "BYTES", [each.item for each in found.items]),
        _tensor("title", "BYTES", [each.title or "" for each in found.items]),
    ]
    scores = [each.score for each in found.items]
    if None not in scores:
        outputs.append(_tensor("score", "FP32", scores))
    answer = {
        "model_name": name,
        "model_version": model,
        "parameters": {"user": found.user, "policy": found.policy.value, **_flat(found)},
        "outputs": outputs,
    }
    if isinstance(body.get("id"), str):
        answer["id"] = body["id"][:100]
    return compact(answer)


def _flat(found: Recommendation) -> dict[str, Any]:
    """Describe what became of a history; parameters of this protocol are plain values."""
    use = use_of(found)
    if not use:
        return {}
    counts = {f"history_{name}": count for name, count in use["history"].items()}
    return {**counts, "refreshed": use["refreshed"]}


def _tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}
