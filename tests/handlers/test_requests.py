import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.requests import MAX_K, decode, encode, encode_error
from handlers.service import Service
from ncf.artifacts import BUNDLE, seal
from ncf.errors import RequestError
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.recommend import Recommendation, Scored, Wishes

BAD = [
    ({}, "not a JSON object"),
    ({"body": None}, "not a JSON object"),
    ({"body": []}, "not a JSON object"),
    ({"body": b""}, "not JSON"),
    ({"body": b"{"}, "not JSON"),
    ({"body": b"\xff\xfe"}, "not JSON"),
    ({"body": b"[" * 100_000}, "not JSON"),
    ({"body": b'{"user": "u", "k": NaN}'}, "not JSON"),
    ({"data": "user=u&k=3"}, "not JSON"),
    ({"user": b"u", "k": b"3"}, "not a JSON object"),  # a form
    ({"body": {}}, "'user' must be a string"),
    ({"body": {"user": 196}}, "'user' must be a string"),
    ({"body": b'{"user": "\\ud800"}'}, "'user' must be a string"),
    ({"body": {"user": "u", "exclude": ["\ud800"]}}, "'exclude' must be"),
    ({"body": {"user": None}}, "'user' must be a string"),
    ({"body": {"user": "u", "k": 0}}, "'k' must be"),
    ({"body": {"user": "u", "k": -1}}, "'k' must be"),
    ({"body": {"user": "u", "k": MAX_K + 1}}, "'k' must be"),
    ({"body": {"user": "u", "k": 10**9}}, "'k' must be"),
    ({"body": {"user": "u", "k": 3.0}}, "'k' must be"),
    ({"body": {"user": "u", "k": True}}, "'k' must be"),
    ({"body": {"user": "u", "k": "3"}}, "'k' must be"),
    ({"body": {"user": "u", "exclude": "a"}}, "'exclude' must be"),
    ({"body": {"user": "u", "exclude": [1]}}, "'exclude' must be"),
    ({"body": {"user": "u", "candidates": {"a": 1}}}, "'candidates' must be"),
    ({"body": {"user": "u", "include_seen": 1}}, "'include_seen' must be"),
    ({"body": {"user": "u", "kk": 3}}, "unknown field 'kk'"),
]


@pytest.mark.parametrize(("row", "words"), BAD)
def test_a_bad_row_is_refused_saying_what_to_send(row: dict[str, object], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(row)
    assert words in str(caught.value)
    assert caught.value.http_status == 400


def test_a_request_is_taken_parsed_or_as_bytes() -> None:
    body = {"user": "007", "k": 3, "exclude": ["a"], "candidates": ["b"], "include_seen": True}
    expected = Wishes(3, ("a",), ("b",), include_seen=True)
    for row in ({"body": body}, {"data": body}, {"body": json.dumps(body).encode()}):
        request = decode(row)
        assert (request.user, request.wishes) == ("007", expected)
    assert decode({"body": {"user": "x"}}).wishes == Wishes(10)


def test_an_answer_is_compact_json_without_what_is_not_known() -> None:
    items = (Scored("50", "Star Wars", 4.125), Scored("7", None, -0.5))
    found = Recommendation("é", Policy.MODEL, items)
    assert encode(found, "abc").decode() == (
        '{"user":"é","policy":"model","items":[{"item":"50","score":4.125,"title":"Star Wars"},'
        '{"item":"7","score":-0.5}],"model":"abc"}'
    )
    assert json.loads(encode_error("bad_request", "né")) == {
        "error": {"code": "bad_request", "message": "né"}
    }


@pytest.fixture(scope="module")
def service(bundle: Bundle) -> Service:
    return Service(bundle.path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["user", "k", "exclude", "candidates", "include_seen", "other"])


@settings(max_examples=300, deadline=None)
@given(body=_VALUES | st.dictionaries(_FIELDS, _VALUES))
def test_whatever_is_sent_gets_json_and_a_status(body: object, service: Service) -> None:
    status, answer = service.answer({"body": body})
    assert status in {200, 400}
    assert ("error" in json.loads(answer)) == (status == 400)


def test_exclude_candidates_and_seen_items_do_what_they_say(
    service: Service, bundle: Bundle
) -> None:
    def items(**wishes: object) -> list[str]:
        status, answer = service.answer({"body": {"user": "u3", "k": 30, **wishes}})
        assert status == 200
        return [item["item"] for item in json.loads(answer)["items"]]

    plain, seen = items(), {bundle.items.raw[item] for item in bundle.seen.of(3)}
    assert not seen & set(plain)
    assert items(exclude=[plain[0], "unknown"]) == plain[1:]
    assert items(candidates=[plain[4], plain[2]]) == [plain[2], plain[4]]
    assert set(items(include_seen=True)) == set(bundle.items.raw)
    assert items(candidates=[]) == []
    chosen = next(iter(seen))
    assert items(candidates=[chosen]) == []
    assert items(candidates=[chosen], include_seen=True) == [chosen]
    stranger = json.loads(service.answer({"body": {"user": "?", "exclude": [plain[0]]}})[1])
    assert stranger["policy"] == "popular"
    assert plain[0] not in [item["item"] for item in stranger["items"]]


def test_a_bundle_that_answers_otherwise_does_not_load(bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    golden = json.loads((copy / "golden.json").read_bytes())
    golden["answers"][0]["scores"][0] += 1
    (copy / "golden.json").write_text(json.dumps(golden))
    seal(copy, BUNDLE, json.loads((copy / "bundle.json").read_bytes()))
    with pytest.raises(RuntimeError, match="does not answer"):
        Service(copy)


def test_an_unknown_candidate_is_named(service: Service) -> None:
    status, answer = service.answer({"body": {"user": "u3", "candidates": ["film 1", "no"]}})
    assert status == 400
    error = json.loads(answer)["error"]
    assert error["code"] == "unknown_item"
    assert "'no'" in error["message"]
