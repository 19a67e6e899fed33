"""Requests that deserve a 4xx: a list by hand, and a strategy."""

import json

from hypothesis import strategies as st

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
BODIES = st.tuples(_malformed | st.binary(max_size=20).map(lambda junk: b"\0" + junk), _types)
