"""Rows of one batch: together where possible, and none at the cost of another."""

import itertools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from export.publish import publish
from export.source import Source
from handlers.service import Service
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError
from ncf.models.kinds import Kind
from ncf.policies import ColdUser
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.queries import Request, Wishes
from ncf.scoring.ranker import TopK
from ncf.scoring.recommend import Recommender
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint

BAD: dict[str, object] = {"body": b"{"}


class Spy(ExactRanker):
    """Counts calls, and fails like a graph with NaN where a given user is among those asked."""

    calls: list[list[int]]
    guilty: int | None = None

    def rank_rows(
        self,
        rows: npt.NDArray[np.float32],
        *rest: Any,  # noqa: ANN401 - passed on as they are
        **named: Any,  # noqa: ANN401
    ) -> TopK:
        # Golden requests fold strangers in, whose rows are nobody's.
        places = [np.flatnonzero((self._rows == row).all(axis=1)) for row in rows]
        users = [int(place[0]) if place.size else -1 for place in places]
        self.calls.append(users)
        if self.guilty in users:
            raise ArtifactError("the model scores NaN")
        return super().rank_rows(rows, *rest, **named)


@pytest.fixture
def ranker(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy.open(bundle)
    assert isinstance(spy, Spy)
    monkeypatch.setattr(ExactRanker, "open", lambda *_, **__: spy)
    spy.calls = []
    return spy


def row(user: str, **wishes: object) -> dict[str, object]:
    return {"body": json.dumps({"user": user, **wishes}).encode()}


def test_users_of_a_batch_are_scored_in_one_call_and_equal_requests_once(
    ranker: Spy, bundle: Bundle
) -> None:
    service = Service(bundle.path)
    ranker.calls.clear()
    rows = [row("u3", k=5), row("u4", k=9), row("stranger"), BAD, row("u3", k=5), row("u3", k=2)]
    answers, seconds = service.answer(rows)
    three, four = bundle.users.index("u3"), bundle.users.index("u4")
    assert ranker.calls == [[three, four, three]]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200, 200]
    lists = [json.loads(answer.body).get("items") for answer in answers]
    assert lists[4] == lists[0]
    assert lists[5] == lists[0][:2]
    assert [len(lists[position]) for position in (0, 1)] == [5, 9]
    assert [answer.policy for answer in answers[:4]] == ["model", "model", "popular", "none"]
    assert seconds > 0


def test_only_the_guilty_row_of_a_failing_batch_fails(
    ranker: Spy, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(bundle.path)
    ranker.guilty = bundle.users.index("u5")
    answers, _ = service.answer([row("u3"), row("u5"), BAD, row("u4"), row("stranger")])
    assert [answer.status for answer in answers] == [200, 500, 400, 200, 200]
    assert json.loads(answers[1].body)["error"]["code"] == "internal"
    assert "NaN" not in answers[1].body.decode()
    assert "the model scores NaN" in caplog.text


@pytest.mark.parametrize("kind", Kind.networks())
def test_an_answer_is_the_same_bits_in_whatever_company(
    kind: Kind, data: PreparedData, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    checkpoint = random_checkpoint(tmp_path / "checkpoint", data, kind, factors=32)
    publish(Source(checkpoint, data), tmp_path, "ncf")
    service = Service(tmp_path / "ncf")
    kinds: list[dict[str, object]] = [{"k": 3}, {"k": 30}, {"include_seen": True}]
    kinds.append({"candidates": ["film 1", "film 2"]})
    rows = [
        row(user, **wishes) for user, wishes in itertools.product(bundle_users(tmp_path), kinds)
    ]
    lanes = Service(tmp_path / "ncf", lanes=3)
    request.addfinalizer(lanes.close)
    alone = [service.answer([each])[0][0].body for each in rows]
    for size in (2, 3, 5, 16, 64):
        for block in (slice(start, start + size) for start in range(0, len(rows), size)):
            for each in (service, lanes):
                together, _ = each.answer(rows[block])
                assert [answer.body for answer in together] == alone[block]


def lanes_alive() -> int:
    return sum(thread.name.startswith("ncf-lane") for thread in threading.enumerate())


def test_a_closed_service_leaves_no_thread_nor_does_one_that_cannot_start(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lanes_alive()
    with Service(bundle.path, lanes=3) as service:
        service.answer([row("u3"), row("u4"), row("u5")])
        assert lanes_alive() > before
    assert lanes_alive() == before

    def disagree(_: Bundle, recommender: Recommender) -> int:
        recommender.recommend_all([Request(user, Wishes()) for user in ("u3", "u4")])
        raise ArtifactError("does not answer as it did")

    monkeypatch.setattr("handlers.service.replay", disagree)
    with pytest.raises(ArtifactError, match="as it did"):
        Service(bundle.path, lanes=3)
    assert lanes_alive() == before


def bundle_users(store: Path) -> list[str]:
    users = open_bundle(store / "ncf").users
    return [users.raw[index] for index in range(len(users))]


def test_an_unknown_user_is_not_found_where_the_bundle_says_so(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data, ColdUser.ERROR), tmp_path, "ncf")
    answers, _ = Service(tmp_path / "ncf").answer([row("stranger"), row("u3")])
    assert [(answer.status, answer.code) for answer in answers] == [
        (404, "unknown_user"),
        (200, "ok"),
    ]


def test_a_description_gives_the_bundles_facts(bundle: Bundle) -> None:
    described = json.loads(Service(bundle.path, lanes=2).describe())
    assert described["digest"] == bundle.digest
    assert described["model"]["n_users"] == bundle.n_users
    assert described["lanes"] == 2
    assert described["longest_list"] == 1000


def test_tensors_of_kserve_ask_and_answer_the_same(bundle: Bundle) -> None:
    def tensors(**inputs: list[object]) -> dict[str, object]:
        given = [{"name": name, "shape": [len(d)], "data": d} for name, d in inputs.items()]
        return {"body": {"id": "7", "inputs": given}}

    service = Service(bundle.path, name="films")
    rows: list[dict[str, object]] = [
        tensors(user=["u3"], k=[4], exclude=["film 1"]),
        tensors(user=["?"]),
        tensors(user=["u3", "u4"]),
        tensors(user=["u3"], other=[1]),
        {"body": {"inputs": 3}},
        {"body": {"inputs": [3]}},
    ]
    answers, _ = service.answer(rows)
    assert [answer.status for answer in answers] == [200, 200, 400, 400, 400, 400]
    known, stranger = (json.loads(answer.body) for answer in answers[:2])
    found = Recommender(bundle, ExactRanker.open(bundle)).recommend("u3", Wishes(4, ("film 1",)))
    outputs = {output["name"]: output["data"] for output in known["outputs"]}
    assert outputs["item"] == [each.item for each in found.items]
    assert outputs["score"] == [each.score for each in found.items]
    assert outputs["title"] == [each.title or "" for each in found.items]
    assert (known["id"], known["model_name"]) == ("7", "films")
    assert known["parameters"] == {"user": "u3", "policy": "model"}
    assert {output["name"] for output in stranger["outputs"]} == {"item", "title"}


def test_many_users_of_one_body_are_answered_in_order_each_on_its_own(bundle: Bundle) -> None:
    service = Service(bundle.path)
    requests: list[object] = [
        {"user": "u3", "k": 4},
        {"user": 3},
        "u4",
        {"user": "stranger"},
        {"user": "u3", "candidates": ["nothing"]},
    ]
    body = {"body": json.dumps({"requests": requests}).encode()}
    (together, after), _ = service.answer([body, row("u5")])
    alone = [service.answer([{"body": each}])[0][0] for each in requests]
    assert together.status == after.status == 200
    found = json.loads(together.body)["responses"]
    assert [each.get("status", 200) for each in found] == [200, 400, 400, 200, 400]
    for one, single in zip(found, alone, strict=True):
        assert {name: one[name] for name in one if name != "status"} == json.loads(single.body)
    assert [each.policy for each in together.parts] == ["model", "none", "none", "popular", "none"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"requests": []}, "a list of 1 to 1000"),
        ({"requests": [{"user": "u3"}] * 1001}, "a list of 1 to 1000"),
        ({"requests": {"user": "u3"}}, "a list of 1 to 1000"),
        ({"requests": [{"user": "u3"}], "k": 3}, "beside other fields"),
        ({"requests": [{"user": "u3", "k": 1000}] * 1000}, "more than"),
        ({"requests": [{"user": "u" * 60_000}] * 2}, "characters in all"),
    ],
)
def test_a_body_of_many_users_that_cannot_be_answered_is_refused_whole(
    body: dict[str, object], words: str, bundle: Bundle
) -> None:
    ((answer,), _) = Service(bundle.path).answer([{"body": json.dumps(body).encode()}])
    assert answer.status == 400
    assert words in json.loads(answer.body)["error"]["message"]


def test_a_thousand_users_in_one_body_are_scored_in_blocks(ranker: Spy, bundle: Bundle) -> None:
    service = Service(bundle.path)
    ranker.calls.clear()
    wishes = [{"user": f"u{n % 40}", "exclude": [f"film {n % 23}"]} for n in range(920)]
    ((answer,), _) = service.answer([{"body": {"requests": wishes}}])
    assert answer.status == 200
    assert max(map(len, ranker.calls)) <= ranker.step
    assert sum(map(len, ranker.calls)) == 920
