"""The NCF authors' three files: read as they are, or refused by file and line."""

from pathlib import Path

import pytest

from ncf.data.triple import Triple, read_triple, triple_paths
from ncf.errors import RatingsError

TRAIN = "u1\ti1\t5\t100\nu1\ti2\t4\t101\nu2\ti3\t3\t102\n"
TEST = "u1\ti3\t5\t200\nu2\ti1\t4\t201\nu3\ti2\t4\t202\n"
NEGATIVE = "(u1,i3)\ti4\ti9\n(u2,i1)\ti4\ti2\n(u3,i2)\ti3\t007\n"


def write(folder: Path, train: str = TRAIN, test: str = TEST, negative: str = NEGATIVE) -> Path:
    prefix = folder / "ml.tiny"
    for path, text in zip(triple_paths(prefix), (train, test, negative), strict=True):
        path.write_text(text, newline="")
    return prefix


def refusal(prefix: Path) -> str:
    with pytest.raises(RatingsError) as caught:
        read_triple(prefix)
    message = str(caught.value)
    assert "\n" not in message
    return message


def pairs(triple: Triple) -> list[tuple[str, str]]:
    ratings = triple.ratings
    return list(zip(ratings.users.to_pylist(), ratings.items.to_pylist(), strict=True))


def negatives(triple: Triple) -> list[list[str]]:
    items = triple.ratings.items.dictionary.to_pylist()
    return [[items[code] for code in row] for row in triple.negatives.tolist()]


def test_the_three_files_bear_the_names_of_the_release(tmp_path: Path) -> None:
    names = [path.name for path in triple_paths(tmp_path / "ml-1m")]
    assert names == ["ml-1m.train.rating", "ml-1m.test.rating", "ml-1m.test.negative"]


def test_a_triple_is_read_as_it_is(tmp_path: Path) -> None:
    triple = read_triple(write(tmp_path))
    assert triple.n_train == 3
    assert pairs(triple) == [
        ("u1", "i1"),
        ("u1", "i2"),
        ("u2", "i3"),
        ("u1", "i3"),
        ("u2", "i1"),
        ("u3", "i2"),
    ]
    assert triple.ratings.timestamps is not None
    assert triple.ratings.timestamps.tolist() == [
        second * 1000 for second in (100, 101, 102, 200, 201, 202)
    ]


def test_the_negatives_are_the_given_ones(tmp_path: Path) -> None:
    assert negatives(read_triple(write(tmp_path))) == [["i4", "i9"], ["i4", "i2"], ["i3", "007"]]


def test_items_known_from_the_negatives_alone_have_a_code(tmp_path: Path) -> None:
    triple = read_triple(write(tmp_path))
    assert triple.ratings.items.dictionary.to_pylist() == ["i1", "i2", "i3", "i4", "i9", "007"]


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n\n"])
def test_line_endings_and_blank_lines_do_not_matter(tmp_path: Path, ending: str) -> None:
    files = (text.replace("\n", ending) for text in (TRAIN, TEST, NEGATIVE))
    triple = read_triple(write(tmp_path, *files))
    assert len(pairs(triple)) == 6
    assert negatives(triple) == [["i4", "i9"], ["i4", "i2"], ["i3", "007"]]


def test_zero_timestamps_are_fine(tmp_path: Path) -> None:
    train = "u1\ti1\t1\t0\nu1\ti2\t1\t0\n"
    triple = read_triple(write(tmp_path, train=train))
    assert triple.ratings.timestamps is not None
    assert triple.ratings.timestamps[:2].tolist() == [0, 0]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_file_is_named(tmp_path: Path, missing: int) -> None:
    prefix = write(tmp_path)
    path = triple_paths(prefix)[missing]
    path.unlink()
    assert refusal(prefix).startswith(f"{path}: ")


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_file_is_named(tmp_path: Path, empty: int) -> None:
    prefix = write(tmp_path)
    path = triple_paths(prefix)[empty]
    path.write_bytes(b"\n")
    message = refusal(prefix)
    assert message.startswith(f"{path}: ")
    assert "empty" in message


BAD_NEGATIVES = {
    "not a pair": ("(u1,i3)\ti4\nu2,i1\ti4\n(u3,i2)\ti4\n", ":2", "'(user,item)'"),
    "code": ("(u1,i3)\ti4\n__import__('os')\ti4\n(u3,i2)\ti4\n", ":2", "'(user,item)'"),
    "a pair of three": ("(u1,i3)\ti4\n(u2,i1,x)\ti4\n(u3,i2)\ti4\n", ":2", "'(user,item)'"),
    "a pair without user": ("(u1,i3)\ti4\n(,i1)\ti4\n(u3,i2)\ti4\n", ":2", "'(user,item)'"),
    "a pair of blanks": ("(u1,i3)\ti4\n(u2, )\ti4\n(u3,i2)\ti4\n", ":2", "'(user,item)'"),
    "a pair left open": ("(u1,i3)\ti4\n\n(u2,i1\ti4\n(u3,i2)\ti4\n", ":3", "'(user,item)'"),
    "a blank item": ("(u1,i3)\ti4\ti9\n(u2,i1)\t\ti2\n(u3,i2)\ti3\ti5\n", ":2", "blank"),
    "a blank last item": ("(u1,i3)\ti4\ti9\n(u2,i1)\ti4\ti2\n(u3,i2)\ti3\t \n", ":3", "blank"),
    "a short row": ("(u1,i3)\ti4\ti9\n(u2,i1)\ti4\n(u3,i2)\ti3\ti5\n", ":2", "2 fields where 3"),
    "a long row": ("(u1,i3)\ti4\n(u2,i1)\ti4\n(u3,i2)\ti3\ti5\n", ":3", "3 fields where 2"),
    "no items": ("(u1,i3)\n(u2,i1)\n(u3,i2)\n", ":1", "no sampled items"),
    "commas": ("(u1,i3),i4\n(u2,i1),i4\n(u3,i2),i4\n", ":1", "tabs"),
}


@pytest.mark.parametrize(("negative", "place", "words"), BAD_NEGATIVES.values(), ids=BAD_NEGATIVES)
def test_a_malformed_row_of_negatives_names_its_line(
    tmp_path: Path, negative: str, place: str, words: str
) -> None:
    prefix = write(tmp_path, negative=negative)
    message = refusal(prefix)
    assert message.startswith(f"{triple_paths(prefix)[2]}{place}: ")
    assert words in message


@pytest.mark.parametrize("place", [0, 1])
def test_a_malformed_rating_names_its_file_and_line(tmp_path: Path, place: int) -> None:
    texts = [TRAIN, TEST]
    texts[place] += "u1\ti1\tgood\t1\n"
    prefix = write(tmp_path, *texts)
    assert refusal(prefix).startswith(f"{triple_paths(prefix)[place]}:4: rating 'good'")


def test_test_files_in_different_order_are_refused(tmp_path: Path) -> None:
    first, second, third = NEGATIVE.splitlines(keepends=True)
    prefix = write(tmp_path, negative=first + third + second)
    message = refusal(prefix)
    assert message.startswith(f"{triple_paths(prefix)[2]}")
    assert "row 2" in message
    assert "('u3', 'i2')" in message
    assert "('u2', 'i1')" in message


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_test_files_of_different_length_are_refused(tmp_path: Path, rows: int) -> None:
    lines = (NEGATIVE + "(u4,i1)\ti2\ti3\n").splitlines(keepends=True)
    prefix = write(tmp_path, negative="".join(lines[:rows]))
    message = refusal(prefix)
    assert message.startswith(f"{triple_paths(prefix)[2]}: ")
    assert f"{rows} rows where the test ratings have 3" in message
