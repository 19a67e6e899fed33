"""Raw ids and their dense indices."""

import tempfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.columns import Columns
from ncf.data.tables import read_id_table, write_id_table
from ncf.identifiers import IdMap, Texts, read_id_maps, write_id_maps


def test_an_id_has_its_position_as_index() -> None:
    ids = IdMap(["007", "7", "NA"])
    assert len(ids) == 3
    assert [ids.index(raw) for raw in ("007", "7", "NA")] == [0, 1, 2]


def test_an_unknown_id_has_no_index() -> None:
    ids = IdMap(["007", "NA"])
    assert ids.index("7") is None
    assert ids.index("na") is None


def test_many_ids_give_an_array_with_minus_one_for_the_unknown() -> None:
    found = IdMap(["a", "b"]).indices(["b", "x", "a", "b"])
    assert found.dtype == np.int64
    assert found.tolist() == [1, -1, 0, 1]


def test_no_ids_give_an_empty_array() -> None:
    assert IdMap(["a"]).indices([]).shape == (0,)
    assert IdMap([]).indices(["a"]).tolist() == [-1]


def test_a_title_is_none_where_there_is_none() -> None:
    assert IdMap(["a"]).title(0) is None
    assert IdMap(["a", "b"], [None, "Up"]).title(0) is None
    assert IdMap(["a", "b"], [None, "Up"]).title(1) == "Up"


ids = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(raw=st.lists(ids, unique=True, max_size=8), data=st.data())
def test_a_written_map_is_read_as_it_was(raw: list[str], data: st.DataObject) -> None:
    titled = data.draw(st.booleans())
    titles = data.draw(st.lists(st.none() | ids, min_size=len(raw), max_size=len(raw)))
    written = IdMap(raw, titles if titled else ())
    with tempfile.TemporaryDirectory() as folder:
        write_id_table(Path(folder, "items.parquet"), written, Columns.ITEM_ID)
        write_id_maps(Path(folder, "ids.npz"), {"users": IdMap(["x"]), "items": written})
        for found in (
            read_id_table(Path(folder, "items.parquet"), Columns.ITEM_ID),
            read_id_maps(Path(folder, "ids.npz"), ["items"])[0],
        ):
            assert list(found.raw) == raw
            assert found == written
            assert [found.title(index) for index in range(len(raw))] == (
                [title or None for title in titles] if titled else [None] * len(raw)
            )


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        write_id_table(path, IdMap(["1", "2"], ["Up", None]), Columns.ITEM_ID)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_ids_with_the_same_checksum_are_told_apart() -> None:
    raw = ["plumless", "buckeroo"]  # a known collision of CRC-32
    assert len({zlib.crc32(each.encode()) for each in raw}) == 1
    for order in (raw, raw[::-1]):
        assert IdMap(order).indices([*raw, "neither"]).tolist() == [
            order.index(raw[0]),
            order.index(raw[1]),
            -1,
        ]


@settings(max_examples=60, deadline=None)
@given(
    raw=st.lists(ids, max_size=8),
    start=st.integers(-10, 10),
    stop=st.integers(-10, 10),
    step=st.sampled_from([1, 2, -1]),
)
def test_packed_texts_are_the_list_they_were(
    raw: list[str], start: int, stop: int, step: int
) -> None:
    packed = Texts.pack(raw)
    assert list(packed) == raw
    assert packed[start:stop:step] == raw[start:stop:step]
    assert [packed[index] for index in range(-len(raw), len(raw))] == raw + raw
    with pytest.raises(IndexError):
        packed[len(raw)]


def test_a_large_map_is_mapped_and_not_read(tmp_path: Path) -> None:
    written = IdMap([str(number) for number in range(100_000)])
    write_id_maps(tmp_path / "ids.npz", {"users": written})
    (found,) = read_id_maps(tmp_path / "ids.npz", ["users"])
    assert isinstance(found.raw.content.base, np.memmap)
    assert found == written
    assert found.indices(["99999", "x", "0"]).tolist() == [99999, -1, 0]


@pytest.mark.parametrize("raw", [["a", "b", "a"], ["", ""], ["plumless", "buckeroo", "plumless"]])
def test_a_repeated_id_is_unsound_and_is_its_first_index_everywhere(raw: list[str]) -> None:
    twice = IdMap(raw)
    assert not twice.is_sound()
    assert [twice.index(each) for each in raw] == [raw.index(each) for each in raw]
    assert twice.indices(raw).tolist() == [raw.index(each) for each in raw]


@settings(max_examples=60, deadline=None)
@given(raw=st.lists(ids, max_size=8))
def test_a_map_is_sound_if_and_only_if_its_ids_are_distinct(raw: list[str]) -> None:
    assert IdMap(raw).is_sound() == (len(set(raw)) == len(raw))


def test_ids_that_share_a_checksum_are_sound() -> None:
    assert IdMap(["plumless", "buckeroo"]).is_sound()
    assert IdMap([]).is_sound()


def test_a_table_with_an_id_twice_is_refused(tmp_path: Path) -> None:
    write_id_table(tmp_path / "users.parquet", IdMap(["a", "b", "a"]), Columns.USER_ID)
    with pytest.raises(ValueError, match=r"users\.parquet holds an id twice"):
        read_id_table(tmp_path / "users.parquet", Columns.USER_ID)


def test_a_look_up_does_not_copy_the_map() -> None:
    ids = IdMap([str(number) for number in range(100_000)])
    assert ids.index("7") == 7  # makes the index
    tracemalloc.start()
    try:
        assert [ids.index(each) for each in ("99999", "no such id")] == [99_999, None]
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
