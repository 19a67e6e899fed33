import json
from typing import Any

import pytest

from handlers import ncf_handler
from handlers.service import Service
from ncf.scoring.bundle import Bundle


class Asking:
    """A context whose every row came with the header that TorchServe describes with."""

    model_name = "ncf"
    metrics: Any = None
    system_properties: Any = None
    model_yaml_config: Any = None

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}

    def get_request_id(self, idx: int) -> str | None:
        return str(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:
        return "True" if key == "describe" and idx == 0 else None

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        assert phrase.isascii()
        self.statuses[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        assert value == "application/json"
        assert idx >= 0


class Nowhere:
    """Metrics that nobody reads."""

    def record(self, answers: object, seconds: float) -> None:
        assert answers
        assert seconds >= 0


def test_a_clients_describe_header_costs_its_neighbours_nothing(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncf_handler._Loaded, "service", Service(bundle.path))
    monkeypatch.setattr(ncf_handler._Loaded, "metrics", Nowhere())
    context = Asking()
    good = {"body": b'{"user": "u3", "k": 2}'}
    answers = ncf_handler.handle([{}, good, good], context)
    assert answers is not None
    assert [json.loads(each).get("user") for each in answers] == [None, "u3", "u3"]
    assert context.statuses == {0: 400, 1: 200, 2: 200}
    (described,) = ncf_handler.handle([{}], Asking()) or []
    assert json.loads(described)["digest"] == bundle.digest
