"""Write lists as text that PostgreSQL and JSON readers take, column-wise: no loop over users."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.push.targets import LISTS
from ncf.columns import Columns

_COPY = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def copy_rows(lists: pa.Table) -> bytes:
    """Write rows of ``COPY … FROM STDIN`` in text format: user, items, scores, policy."""
    items, scores = _array(lists[Columns.ITEM_IDS]), _array(lists[Columns.SCORES])
    fields = [
        _copied(_array(lists[Columns.USER_ID])),
        _joined(_each(items.flatten(), lambda raw: _copy_text(_quoted(raw))), items, "{", "}"),
        _joined(_numbers(scores.flatten()), scores, "{", "}").fill_null("\\N"),
        _array(lists[Columns.POLICY]),
    ]
    rows = pc.binary_join_element_wise(*fields, "\t")
    return _lines(rows)


def copy_users(users: pa.Array) -> bytes:
    """Write rows of users without a list."""
    missing = pa.scalar("\\N\t\\N\t\\N")
    return _lines(pc.binary_join_element_wise(_copied(users), missing, "\t"))


def json_lists(lists: pa.Table) -> list[str]:
    """Write each list as JSON: ``policy``, ``items`` and, where it has them, ``scores``."""
    items, scores = _array(lists[Columns.ITEM_IDS]), _array(lists[Columns.SCORES])
    dumped = _joined(_each(items.flatten(), _json_text), items, "[", "]")
    values = _joined(_numbers(scores.flatten()), scores, ',"scores":[', "]").fill_null("")
    policies = _each(_array(lists[Columns.POLICY]), _json_text)
    texts: list[str] = pc.binary_join_element_wise(
        '{"policy":', policies, ',"items":', dumped, values, "}", ""
    ).to_pylist()
    return texts


def read_lists(users: Sequence[str], texts: Sequence[Any]) -> pa.Table:
    """Read lists that :func:`json_lists` wrote; None stands for a user who has none."""
    rows = []
    for user, text in zip(users, texts, strict=True):
        if text is not None:
            found = json.loads(text)
            columns = (user, found["items"], found.get("scores"), found["policy"])
            rows.append(dict(zip(LISTS.names, columns, strict=True)))
    return pa.Table.from_pylist(rows, schema=LISTS)


def _json_text(raw: str) -> str:
    return json.dumps(raw, ensure_ascii=False)


def _quoted(raw: str) -> str:
    """Quote an element of an array."""
    return '"' + raw.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _copy_text(raw: str) -> str:
    for old, new in _COPY:
        raw = raw.replace(old, new)
    return raw


def _copied(texts: pa.Array) -> pa.Array:
    for old, new in _COPY:
        texts = pc.replace_substring(texts, old, new)
    return texts


def _each(texts: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Change each distinct text once."""
    encoded = texts.dictionary_encode()
    changed = pa.array([change(raw) for raw in encoded.dictionary.to_pylist()], pa.string())
    return changed.take(encoded.indices)


def _numbers(scores: pa.Array) -> pa.Array:
    """Write float32 with as many digits as it takes to read the same number again."""
    return scores.cast(pa.string())


def _joined(texts: pa.Array, lists: pa.Array, first: str, last: str) -> pa.Array:
    """Join the texts of each list by commas, between two marks; a list that is null stays so."""
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ",")
    whole = pc.binary_join_element_wise(first, joined, last, "")
    return pc.if_else(lists.is_valid(), whole, pa.scalar(None, pa.string()))


def _lines(rows: pa.Array) -> bytes:
    text = rows.to_pylist()
    return "".join(f"{row}\n" for row in text).encode()


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
