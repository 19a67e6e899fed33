"""What a real TorchServe answers."""

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from batch.job import Job
from batch.pipeline import run_batch
from batch.published import read_latest
from handlers.service import Service
from ncf.cli.app import app
from ncf.devices import Device
from ncf.scoring.bundle import Bundle
from tests.conftest import N_USERS
from tests.serving.live import Live
from tests.serving.malformed import BAD, BODIES, JSON

pytestmark = pytest.mark.xdist_group("torchserve")

USERS = [f"u{number}" for number in range(N_USERS)]


# Generated alone: looking for the cause of a failure traces every line, and takes a minute.
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(drawn=st.lists(BODIES, min_size=50, max_size=50), order=st.randoms(use_true_random=False))
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


def test_metrics_count_requests_by_policy_and_error_and_rows_by_batch(
    live: Live, bundle: Bundle
) -> None:
    live.predict(user="u3")
    sent: dict[tuple[str, str], bytes] = {
        ("model", "ok"): b'{"user": "u3"}',
        ("popular", "ok"): b'{"user": "stranger"}',
        ("none", "bad_request"): b"{",
        ("none", "unknown_item"): b'{"user": "u3", "candidates": ["nothing"]}',
    }
    digest = bundle.digest[:12]

    def rows() -> float:
        return _metric(live, "ncf_batch_rows_sum", digest=digest)

    def counts() -> list[float]:
        return [
            _metric(live, "ncf_requests_total", policy=policy, code=code, digest=digest)
            for policy, code in sent
        ]

    def batches() -> float:
        return _metric(live, "ncf_batch_rows_count", digest=digest)

    _settled(rows)
    before, rows_before, batches_before = counts(), rows(), batches()
    unknown = _metric(live, "ncf_unknown_users_total", digest=digest)
    with ThreadPoolExecutor(32) as clients:
        list(clients.map(live.post, [*sent.values()] * 40))
    _settled(rows)
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [40.0] * 4
    assert rows() - rows_before == 160
    assert 160 / (batches() - batches_before) > 2
    assert _metric(live, "ncf_unknown_users_total", digest=digest) - unknown == 40
    assert _metric(live, "ncf_score_milliseconds_count", digest=digest) == batches()


def _metric(live: Live, name: str, **labels: str) -> float:
    wanted = name + "{" + "".join(f'{label}="{value}",' for label, value in labels.items())
    found = [line for line in live.metrics().splitlines() if line.startswith(wanted)]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


def _settled(read: Callable[[], float]) -> None:
    """Wait until TorchServe has read what the worker wrote."""
    before, now = -1.0, read()
    while now != before:
        time.sleep(0.3)
        before, now = now, read()


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
    run_batch(Job(bundle.path, tmp_path / "topk", 12, Device.CPU), datetime.now(UTC))
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
