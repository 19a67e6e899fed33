import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.limits import MAX_K, MAX_USER, longest_list
from handlers.requests import body_of, check, encode, encode_error
from handlers.service import Answer, Service
from ncf.artifacts import seal
from ncf.errors import ArtifactError, RequestError
from ncf.identifiers import IdMap
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.queries import Recommendation, Request, Scored, Wishes

BAD = [
    ({}, "no body"),
    ({"body": None}, "not a JSON object"),
    ({"body": []}, "not a JSON object"),
    ({"body": b""}, "not JSON"),
    ({"body": b"{"}, "not JSON"),
    ({"body": b"\xff\xfe"}, "not JSON"),
    ({"body": b"[" * 100_000}, "not JSON"),
    ({"body": b'{"user": "u", "k": NaN}'}, "not JSON"),
    ({"data": "user=u&k=3"}, "not JSON"),
    ({'{"user": "u"}': b""}, "a form of unknown fields"),  # what curl sends by default
    ({"user": b"u", "k": b"ten"}, "not JSON"),
    ({"user": b"\xff"}, "'user' must be a string"),
    ({"user": "u", "k": 3}, "a form of unknown fields"),
    ({"body": {"user": "u" * (MAX_USER + 1)}}, "'user' must be a string"),
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
        check(body_of(row))
    assert words in str(caught.value)
    assert caught.value.http_status == 400


def decode(row: dict[str, object]) -> Request:
    return check(body_of(row))


def test_a_request_is_taken_parsed_as_bytes_or_as_a_form() -> None:
    body = {"user": "007", "k": 3, "exclude": ["a"], "candidates": ["b"], "include_seen": True}
    expected = Wishes(3, ("a",), ("b",), include_seen=True)
    text = json.dumps(body)
    given: list[object] = [body, text, text.encode(), bytearray(text.encode())]
    rows = [{name: each} for name in ("body", "data") for each in given]
    for row in rows:
        request = decode(row)
        assert request == Request("007", expected)
    form = {name: json.dumps(value).encode() for name, value in body.items()}
    assert decode({**form, "user": b"007"}) == Request("007", expected)
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


def ask(service: Service, row: dict[str, object]) -> Answer:
    ((answer,), _) = service.answer([row])
    return answer


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["user", "k", "exclude", "candidates", "include_seen", "other"])


@settings(max_examples=300, deadline=None)
@given(body=_VALUES | st.dictionaries(_FIELDS, _VALUES))
def test_whatever_is_sent_gets_json_and_a_status(body: object, service: Service) -> None:
    answer = ask(service, {"body": body})
    assert answer.status in {200, 400}
    assert ("error" in json.loads(answer.body)) == (answer.status == 400)


def test_exclude_candidates_and_seen_items_do_what_they_say(
    service: Service, bundle: Bundle
) -> None:
    def items(**wishes: object) -> list[str]:
        answer = ask(service, {"body": {"user": "u3", "k": 30, **wishes}})
        assert answer.status == 200
        return [item["item"] for item in json.loads(answer.body)["items"]]

    plain, seen = items(), {bundle.items.raw[item] for item in bundle.seen.of(3)}
    assert not seen & set(plain)
    assert items(exclude=[plain[0], "unknown"]) == plain[1:]
    assert items(candidates=[plain[4], plain[2]]) == [plain[2], plain[4]]
    assert set(items(include_seen=True)) == set(bundle.items.raw)
    assert items(candidates=[]) == []
    chosen = next(iter(seen))
    assert items(candidates=[chosen]) == []
    assert items(candidates=[chosen], include_seen=True) == [chosen]
    stranger = json.loads(ask(service, {"body": {"user": "?", "exclude": [plain[0]]}}).body)
    assert stranger["policy"] == "popular"
    assert plain[0] not in [item["item"] for item in stranger["items"]]


def test_a_bundle_that_answers_otherwise_does_not_load(bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    golden = json.loads((copy / "golden.json").read_bytes())
    golden["answers"][0]["scores"][0] += 1
    (copy / "golden.json").write_text(json.dumps(golden))
    seal(copy, BUNDLE, json.loads((copy / "bundle.json").read_bytes()))
    with pytest.raises(ArtifactError, match="does not answer user"):
        Service(copy)


def test_an_unknown_candidate_is_named_in_few_words(service: Service) -> None:
    for unknown in ("no", "x" * 1_000_000):
        answer = ask(service, {"body": {"user": "u3", "candidates": ["film 1", unknown]}})
        assert answer.status == 400
        error = json.loads(answer.body)["error"]
        assert error["code"] == "unknown_item"
        assert unknown[:20] in error["message"]
        assert len(answer.body) < 500


@pytest.mark.parametrize("text", ["", "film", "\x01" * 1500, "€" * 3000, '"' * 40_000])
def test_the_longest_list_of_the_longest_texts_is_under_torchserves_limit(text: str) -> None:
    longest = longest_list(IdMap([text], [text]))
    items = (Scored(text, text, -1.2345678901234567e-30),) * longest
    user = "\x01" * MAX_USER
    assert len(encode(Recommendation(user, Policy.MODEL, items), "0" * 12)) < 6_553_500
    assert longest == MAX_K or len(text) > 400


def test_a_list_longer_than_the_longest_is_refused_with_the_number() -> None:
    assert check({"user": "u", "k": 40}, 40).wishes.k == 40
    assert check({"user": "u"}, 4).wishes.k == 4
    with pytest.raises(RequestError, match="from 1 to 40"):
        check({"user": "u", "k": 41}, 40)
