"""What a real TorchServe answers."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from batch.run import Job, read_latest, run
from handlers.service import Service
from ncf.cli.app import app
from ncf.devices import Device
from ncf.scoring.bundle import Bundle
from tests.conftest import N_USERS
from tests.serving.live import Live

pytestmark = pytest.mark.xdist_group("torchserve")

USERS = [f"u{number}" for number in range(N_USERS)]
JSON = "application/json"
BAD: list[tuple[bytes, str]] = [
    (b"", JSON),
    (b"", "text/plain"),
    (b"", "application/x-www-form-urlencoded"),
    (b"{", JSON),
    (b'{"user": "u3"', JSON),
    (b'{"user": "u3", "k": NaN}', JSON),
    (b'{"user": "u3", "k": Infinity}', JSON),
    (b"[" * 50_000, JSON),
    (b'{"user":' * 50_000, JSON),
    (b"\xff\xfe\x00", JSON),
    ("{'user': 'u3'}".encode("utf-16"), JSON),
    (b"null", JSON),
    (b'"u3"', JSON),
    (b"[]", JSON),
    (b'[{"user": "u3"}]', JSON),
    (b"{}", JSON),
    (b'{"k": 3}', JSON),
    (b'{"user": 3}', JSON),
    (b'{"user": null}', JSON),
    (b'{"user": ["u3"]}', JSON),
    (b'{"user": "\\ud800"}', JSON),
    (b'{"user": "u3", "k": 0}', JSON),
    (b'{"user": "u3", "k": -1}', JSON),
    (b'{"user": "u3", "k": 1e9}', JSON),
    (b'{"user": "u3", "k": 1000000000}', JSON),
    (b'{"user": "u3", "k": ' + b"9" * 5000 + b"}", JSON),
    (b'{"user": "u3", "k": "3"}', JSON),
    (b'{"user": "u3", "k": true}', JSON),
    (b'{"user": "u3", "candidates": ["nothing"]}', JSON),
    (b'{"user": "u3", "candidates": "film 1"}', JSON),
    (b'{"user": "u3", "exclude": [1]}', JSON),
    (b'{"user": "u3", "include_seen": 1}', JSON),
    (b'{"user": "u3", "also": 1}', JSON),
    (b'{"user": "' + b"u" * 200_000 + b'"}', JSON),
    (b'{"user": "u3", "candidates": ["' + b"x" * 1_000_000 + b'"]}', JSON),
    (b'{"inputs": [{"name": "user", "data": ["u3", "u4"]}]}', JSON),
    (b'{"user": "u3"}', "application/x-www-form-urlencoded"),
    (b"user=u3&k=ten", "application/x-www-form-urlencoded"),
    (b"name=u3", "application/x-www-form-urlencoded"),
    (b"user,k\nu3,3", "text/csv"),
    (b"<user>u3</user>", "application/xml"),
    (b"\x93NUMPY", "application/octet-stream"),
    (b"{", "application/json; charset=utf-8"),
]

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_not_text = _json.filter(lambda value: not isinstance(value, str))
_not_a_length = _json.filter(lambda value: type(value) is not int or not 1 <= value <= 1000)
_malformed = st.one_of(
    _json.filter(lambda value: not isinstance(value, dict)),
    st.fixed_dictionaries({"user": _not_text}),
    st.fixed_dictionaries({"user": st.just("u3"), "k": _not_a_length}),
    st.fixed_dictionaries({"user": st.just("u3"), "exclude": st.lists(_not_text, min_size=1)}),
    st.fixed_dictionaries({"user": st.just("u3"), "candidates": st.lists(_not_text, min_size=1)}),
    st.fixed_dictionaries({"user": st.just("u3"), "include_seen": st.integers() | st.text()}),
    st.fixed_dictionaries({"user": st.just("u3"), "x": _json}),
).map(lambda value: json.dumps(value).encode())
_types = st.sampled_from([JSON, f"{JSON}; charset=utf-8", "text/plain", "application/octet-stream"])
_bodies = st.tuples(_malformed | st.binary(max_size=20).map(lambda junk: b"\0" + junk), _types)


# Generated alone: looking for the cause of a failure traces every line, and takes a minute.
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(drawn=st.lists(_bodies, min_size=50, max_size=50), order=st.randoms(use_true_random=False))
def test_malformed_requests_get_their_own_4xx_among_good_ones(
    live: Live, bundle: Bundle, drawn: list[tuple[bytes, str]], order: random.Random
) -> None:
    workers = live.workers()
    service = Service(bundle.path)
    expected = {}
    for user in (*USERS, "stranger"):
        body = json.dumps({"user": user, "k": 7}).encode()
        expected[body] = service.answer([{"body": body}])[0][0].body
    mixed = [*BAD, *drawn, *((body, JSON) for body in [*expected] * 2)]
    order.shuffle(mixed)
    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda each: live.post(*each), mixed))
    for (body, kind), answer in zip(mixed, answers, strict=True):
        assert answer.headers["content-type"] == JSON
        if (body, kind) in BAD or body not in expected:
            assert answer.status_code == 400, (body[:200], kind, answer.text)
            assert answer.json()["error"]["message"]
        else:
            assert (answer.status_code, answer.content) == (200, expected[body])
    assert live.workers() == workers


def test_batches_were_filled_and_counted(live: Live, bundle: Bundle) -> None:
    lines = dict(
        line.rsplit(" ", 1) for line in live.metrics().splitlines() if line.startswith("ncf_")
    )
    figures = {name.split("Hostname")[0]: float(value) for name, value in lines.items()}
    digest = f'digest="{bundle.digest[:12]}",'
    rows, batches = (figures[f"ncf_batch_rows_{each}{{{digest}"] for each in ("sum", "count"))
    assert rows / batches > 2
    assert figures[f"ncf_score_milliseconds_count{{{digest}"] == batches
    assert figures[f"ncf_unknown_users_total{{{digest}"] >= 3
    counted = {
        (policy, code): figures[f'ncf_requests_total{{policy="{policy}",code="{code}",{digest}']
        for policy, code in (
            ("model", "ok"),
            ("popular", "ok"),
            ("none", "bad_request"),
            ("none", "unknown_item"),
        )
    }
    assert sum(counted.values()) == rows
    assert counted["none", "bad_request"] > 500


def test_a_body_over_the_limit_is_refused_and_the_worker_lives(live: Live) -> None:
    workers = live.workers()
    assert live.post(b" " * 10_000_000).status_code == 413
    assert live.predict(user="u3").status_code == 200
    assert live.workers() == workers


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"user": "u3", "k": 4}', "application/json; charset=utf-8"),
        (b'{"user": "u3", "k": 4}', "application/octet-stream"),
        (b'{"user": "u3", "k": 4}', "text/plain"),
        (b"user=u3&k=4", "application/x-www-form-urlencoded"),
        (
            b'--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nu3\r\n'
            b'--b\r\nContent-Disposition: form-data; name="k"\r\n\r\n4\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_whatever_the_content_type_the_answer_is_the_same(
    live: Live, body: bytes, kind: str
) -> None:
    answer = live.post(body, kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON
    assert len(answer.headers["x-request-id"]) == 36
    assert answer.content == live.predict(user="u3", k=4).content


def test_batch_recommend_and_server_give_the_same_bits(
    live: Live, bundle: Bundle, tmp_path: Path
) -> None:
    run(Job(bundle.path, tmp_path / "topk", 12, Device.CPU), datetime.now(UTC))
    table = read_latest(tmp_path / "topk")
    for user in USERS:
        rows = table[table["user_id"] == user]
        from_batch = list(zip(rows["item_id"], map(float, rows["score"]), strict=True))
        words = ["recommend", "--bundle", str(bundle.path), "--user", user, "-k", "12", "--json"]
        printed = json.loads(CliRunner().invoke(app, words).stdout)
        served = live.predict(user=user, k=12).json()
        from_command, from_server = (
            [(item["item"], item["score"]) for item in found["items"]]
            for found in (printed, served)
        )
        assert from_batch == from_command == from_server
        assert len(from_batch) == 12


def test_kserves_route_answers_in_its_own_words(live: Live) -> None:
    body = b'{"id": "1", "inputs": [{"name": "user", "datatype": "BYTES", "data": ["u3"]}]}'
    outputs = {
        output["name"]: output["data"]
        for output in live.post(body, path="v2/models/ncf/infer").json()["outputs"]
    }
    items = live.predict(user="u3").json()["items"]
    assert outputs["item"] == [item["item"] for item in items]
    assert outputs["score"] == [item["score"] for item in items]


def test_the_customised_description_gives_the_bundles_facts(live: Live, bundle: Bundle) -> None:
    (described,) = live.manage("GET", "models/ncf", customized="true").json()
    assert described["customizedMetadata"]["digest"] == bundle.digest
    assert described["customizedMetadata"]["model"]["kind"] == "neumf"
