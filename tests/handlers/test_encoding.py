"""With orjson and without it: the same bytes out, the same values in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import encoding
from handlers.encoding import compact, compact_scores, parse


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)), st.text())
def test_scores_are_the_same_bytes_as_pythons(scores: list[float], title: str) -> None:
    title = title.encode(errors="replace").decode()
    document = {"title": title, "items": [{"score": each} for each in scores]}
    expected = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    assert compact_scores(document, scores) == compact(document) == expected


@given(st.binary(max_size=30) | st.text(max_size=30).map(lambda text: json.dumps(text).encode()))
def test_what_is_read_does_not_depend_on_orjson(body: bytes) -> None:
    def read() -> object:
        try:
            return parse(body)
        except ValueError:
            return ValueError

    fast = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "orjson", None)
        assert repr(read()) == repr(fast)


@pytest.mark.parametrize("body", [b"NaN", b'{"k": Infinity}', b"[-Infinity]", b"", b"{"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(body)
