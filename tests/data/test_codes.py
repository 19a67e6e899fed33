"""Codes of ids that are whole numbers: those that their texts would get, whatever the blocks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncf.data import codes, parquet
from ncf.data.codes import IdCodes
from ncf.data.readers import read_ratings

FAR = st.integers(-(2**63), 2**63 - 1)
BLOCKS = st.lists(st.lists(st.integers(-9, 9) | FAR, max_size=6), max_size=6)


@given(BLOCKS, st.sets(st.integers(0, 5)))
def test_codes_are_those_of_the_texts(blocks: list[list[int]], as_texts: set[int]) -> None:
    ids = IdCodes()
    for number, block in enumerate(blocks):
        if number in as_texts:
            ids.add(pa.array([str(each) for each in block], pa.string()).dictionary_encode())
        else:
            ids.add_whole(np.array(block, np.int64))
    flat = [str(each) for block in blocks for each in block]
    found = ids.whole()
    assert found.to_pylist() == flat
    assert found.dictionary.to_pylist() == list(dict.fromkeys(flat))
    assert found.indices.type == pa.int32()


def test_ids_that_grow_with_the_rows_stay_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "_ALWAYS", 8)
    numbers, found, expected = codes.WholeCodes(), codes.Growing(np.int32), np.arange(1000)
    for start in range(0, 1000, 50):
        assert numbers.add_codes(expected[start : start + 50] * 3 - 1500, found)
    assert found.whole().tolist() == expected.tolist()
    assert numbers.numbers().to_pylist() == (expected * 3 - 1500).tolist()
    assert not numbers.add_codes(np.array([10**6]), found)
    assert len(found) == 1000


@pytest.mark.parametrize("unit", [1, 1000])
def test_numbers_and_texts_in_parquet_read_alike(
    unit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 100)
    rng = np.random.default_rng(3)
    table = pa.table(
        {
            "user_id": rng.integers(0, 300, 2000) * 10**12,
            "item_id": rng.integers(-50, 50, 2000).astype(np.int16),
            "rating": rng.integers(1, 6, 2000),
            "timestamp": rng.integers(10**9, 2 * 10**9, 2000) * unit,
        }
    )
    texts = table
    for name in ("user_id", "item_id", "rating", "timestamp"):
        texts = texts.set_column(
            texts.schema.get_field_index(name), name, texts[name].cast(pa.string())
        )
    read = []
    for name, each in (("numbers", table), ("texts", texts)):
        pq.write_table(each, tmp_path / name, row_group_size=333)
        read.append(read_ratings(tmp_path / name, min_rating=3))
    assert read[0].sha256() == read[1].sha256()
    assert read[0].dropped == read[1].dropped > 0
