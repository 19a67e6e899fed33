"""One suite for every server: TorchServe, ours under uvicorn and granian, the handler itself."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from handlers.forms import row_of
from handlers.service import Service
from ncf.errors import RequestError
from ncf.scoring.bundle import Bundle
from tests.conftest import N_USERS
from tests.serving.malformed import BAD, JSON
from tests.serving.ours import TOKEN, Ours, serving_granian, serving_ours

if TYPE_CHECKING:
    from tests.serving.served import Served

pytestmark = pytest.mark.xdist_group("torchserve")

Ask = Callable[[bytes, str, str], tuple[int, bytes]]
PREDICT, INFER = "predictions/ncf", "v2/models/ncf/infer"
SERVERS = ("process", "uvicorn", "granian", "torchserve")

GOOD = [
    *({"user": f"u{number}", "k": 1 + number % 9} for number in range(N_USERS)),
    {"user": "stranger"},
    {"user": "u3", "exclude": ["film 1", "film 2"], "k": 30},
    {"user": "u3", "candidates": ["film 1", "film 2", "film 3"], "include_seen": True},
    {"user": "u3", "exact": True},
    {"requests": [{"user": "u3", "k": 2}, {"user": "stranger"}, {"user": 3}, {"k": 2}]},
    {"requests": [{"user": f"u{number}"} for number in range(N_USERS)]},
]
BAD_MANY = [{"requests": []}, {"requests": 3}, {"requests": [{"user": "u3"}], "k": 3}]
FORMS = [
    (b'{"user": "u3", "k": 4}', "application/json; charset=utf-8"),
    (b'{"user": "u3", "k": 4}', "text/plain"),
    (b"user=u3&k=4", "application/x-www-form-urlencoded"),
    (
        b'--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nu3\r\n'
        b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n4\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
]


@pytest.fixture(scope="module")
def service(bundle: Bundle) -> Service:
    return Service(bundle.path)


@pytest.fixture(scope="module")
def uvicorn(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    store = tmp_path_factory.mktemp("store")
    shutil.copytree(bundle.path, store / "ncf")
    with serving_ours(store) as ours:
        yield ours


@pytest.fixture(scope="module")
def granian(bundle: Bundle) -> Iterator[Ours]:
    with serving_granian(bundle.path) as ours:
        yield ours


@pytest.fixture(params=SERVERS)
def ask(request: pytest.FixtureRequest, service: Service) -> Ask:
    """Ask one of the servers: body, content type and path in, status and body out."""
    if request.param == "process":
        return lambda body, kind, _: _in_process(service, body, kind)
    name = {"torchserve": "live"}.get(request.param, request.param)
    server: Served = request.getfixturevalue(name)

    def posted(body: bytes, kind: str, path: str) -> tuple[int, bytes]:
        answer = server.post(body, kind, path)
        assert answer.headers["content-type"] == JSON
        assert answer.headers["x-request-id"]
        return answer.status_code, answer.content

    return posted


def _in_process(service: Service, body: bytes, kind: str) -> tuple[int, bytes]:
    try:
        ((answer,), _) = service.answer([row_of(kind.encode(), body)])
    except RequestError as error:
        return error.http_status, b'{"error":{"message":"malformed form"}}'
    return answer.status, answer.body


def test_good_requests_get_the_same_bytes(ask: Ask, service: Service) -> None:
    for request in GOOD:
        body = json.dumps(request).encode()
        assert ask(body, JSON, PREDICT) == _in_process(service, body, JSON), request


def test_golden_requests_get_the_answers_of_the_export(ask: Ask, bundle: Bundle) -> None:
    golden = json.loads((bundle.path / "golden.json").read_bytes())
    for expected in golden["answers"]:
        given = {name: expected[name] for name in ("user", "history") if expected.get(name)}
        body = json.dumps({**given, "k": golden["k"]}).encode()
        status, content = ask(body, JSON, PREDICT)
        found = json.loads(content)
        assert (status, found["policy"]) == (200, expected["policy"])
        assert [each["item"] for each in found["items"]] == expected["items"]
        assert [each.get("score") for each in found["items"]] == expected["scores"]


def test_malformed_requests_get_the_same_statuses_and_a_message(ask: Ask) -> None:
    every = [*BAD, *((json.dumps(each).encode(), JSON) for each in BAD_MANY)]
    for body, kind in every:
        status, content = ask(body, kind, PREDICT)
        assert status == 400, (body[:100], kind, content)
        assert json.loads(content)["error"]["message"]


def test_content_types_and_forms_make_no_difference(ask: Ask, service: Service) -> None:
    expected = _in_process(service, b'{"user": "u3", "k": 4}', JSON)
    for body, kind in FORMS:
        assert ask(body, kind, PREDICT) == expected, kind


def test_tensors_get_the_same_bytes(ask: Ask, service: Service) -> None:
    asked: list[dict[str, list[object]]] = [
        {"user": ["u3"], "k": [4], "exclude": ["film 1"]},
        {"user": ["?"]},
    ]
    for inputs in asked:
        given = [
            {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data}
            for name, data in inputs.items()
        ]
        body = json.dumps({"id": "7", "inputs": given}).encode()
        assert ask(body, JSON, INFER) == _in_process(service, body, JSON)
    for wrong in (3, [3], [{"name": "user", "data": ["u3", "u4"]}]):
        assert ask(json.dumps({"inputs": wrong}).encode(), JSON, INFER)[0] == 400


@pytest.mark.parametrize("binary", [True, False])
def test_a_client_of_v2_that_others_wrote_gets_right_answers(
    uvicorn: Ours, service: Service, bundle: Bundle, *, binary: bool
) -> None:
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(uvicorn.url.removeprefix("http://"))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.is_server_live(headers)
    assert client.is_server_ready(headers)
    assert client.is_model_ready("ncf", headers=headers)
    assert client.get_server_metadata(headers)["extensions"] == ["binary_tensor_data"]
    described = client.get_model_metadata("ncf", headers=headers)
    assert described["versions"] == [bundle.digest[:12]]
    user, length = http.InferInput("user", [1], "BYTES"), http.InferInput("k", [1], "INT64")
    user.set_data_from_numpy(np.array(["u3"], object), binary_data=binary)
    length.set_data_from_numpy(np.array([7], np.int64), binary_data=binary)
    outputs = [
        http.InferRequestedOutput(each["name"], binary_data=binary) for each in described["outputs"]
    ]
    expected = json.loads(_in_process(service, b'{"user": "u3", "k": 7}', JSON)[1])["items"]
    for wanted in (outputs, None):
        found = client.infer("ncf", [user, length], outputs=wanted, headers=headers)
        assert found.as_numpy("score").tolist() == [each["score"] for each in expected]
        items = [
            str(each, "utf-8") if isinstance(each, bytes) else each
            for each in found.as_numpy("item")
        ]
        assert items == [each["item"] for each in expected]
    length.set_data_from_numpy(np.array([0], np.int64), binary_data=binary)
    with pytest.raises(Exception, match="must be a whole number"):
        client.infer("ncf", [user, length], headers=headers)
    client.close()
