"""Ratings files: what must be refused, by file and line, and what must be kept exactly."""

import csv
import functools
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.blocks import Block, read_blocks
from ncf.data.options import Format
from ncf.data.ratings import Ratings
from ncf.data.readers import read_ratings
from ncf.errors import NcfError, RatingsError, UsageError

HEAD = b"user_id,item_id,rating,timestamp\n"
GOOD = b"u1,i1,5,100\n"
MS = b"u1,i1,5,1577836800000\n"
TWO = (HEAD + GOOD).decode()
CSV_COLUMNS = "user_id,item_id[,rating][,timestamp]"


def write(folder: Path, content: bytes, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path: Path, file_format: Format = Format.CSV, min_rating: float | None = None) -> str:
    with pytest.raises(NcfError) as caught:
        read_ratings(path, file_format, min_rating=min_rating)
    assert isinstance(caught.value, RatingsError | UsageError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(ratings: Ratings) -> tuple[list[tuple[str, str]], list[int] | None, int]:
    times = None if ratings.timestamps is None else ratings.timestamps.tolist()
    pairs = list(zip(ratings.users.to_pylist(), ratings.items.to_pylist(), strict=True))
    return pairs, times, ratings.dropped


def in_blocks_of(patch: pytest.MonkeyPatch, block_bytes: int) -> None:
    reader = functools.partial(read_blocks, block_bytes=block_bytes)
    patch.setattr("ncf.data.readers.read_blocks", reader)


BAD_FILES = {
    "an extra field": (HEAD + GOOD + b"u2,i2,5,1,9\n" + GOOD, ":3", "5 fields where 4"),
    "an extra field everywhere": (HEAD + b"u2,i2,5,1,9\n" * 3, ":2", CSV_COLUMNS),
    "a trailing comma": (HEAD + GOOD + b"u2,i2,5,1,\n", ":3", "5 fields where 4"),
    "a short row": (HEAD + GOOD + b"u2,i2,5\n" + GOOD, ":3", "3 fields where 4"),
    "a short row after blank lines": (HEAD + b"\n\n" + GOOD + b"u2,i2\n", ":5", "2 fields"),
    "a last line cut off": (HEAD + GOOD + b"u2,i", ":3", "2 fields where 4"),
    "a line of spaces": (HEAD + GOOD + b"   \n" + GOOD, ":3", "1 fields where 4"),
    "an unexpected header": (b"a,b,c\n1,2,3\n", ":1", f"expected '{CSV_COLUMNS}'"),
    "no header": (GOOD, ":1", f"expected '{CSV_COLUMNS}'"),
    "two columns that may be the user": (b"uid,user,item_id\nu,v,i\n", ":1", CSV_COLUMNS),
    "two columns that may be the item": (b"asin,sku,user\ni,j,u\n", ":1", "--columns"[2:]),
    "a column twice": (b"user_id,item_id,user_id\nu,i,1\n", ":1", CSV_COLUMNS),
    "slashes": (TWO.replace(",", "/").encode(), ":1", f"expected '{CSV_COLUMNS}'"),
    "tabs": (TWO.replace(",", "\t").encode(), ":1", f"expected '{CSV_COLUMNS}'"),
    "semicolons under a good header": (HEAD + b"u1;i1;5;1\n", ":2", CSV_COLUMNS),
    "an empty user id": (HEAD + GOOD + b",i2,5,1\n", ":3", "user_id is blank"),
    "a user id of spaces": (HEAD + GOOD + b"  ,i2,5,1\n", ":3", "user_id is blank"),
    "an empty item id": (HEAD + GOOD + b"u2,,5,1\n", ":3", "item_id is blank"),
    "an empty quoted item id": (HEAD + GOOD + b'u2,"",5,1\n', ":3", "item_id is blank"),
    "an item id of wide spaces": (HEAD + "u2,\u3000\u00a0,5,1\n".encode(), ":2", "item_id"),
    "a NUL byte": (HEAD + GOOD + b"u2,i\0,5,1\n", ":3", "NUL byte"),
    "UTF-16": (TWO.encode("utf-16"), "", "UTF-16"),
    "UTF-16, big-endian, marked": (b"\xfe\xff" + TWO.encode("utf-16-be"), "", "UTF-16"),
    "UTF-16, little-endian, unmarked": (TWO.encode("utf-16-le"), ":1", "UTF-16"),
    "UTF-16, big-endian, unmarked": (TWO.encode("utf-16-be"), ":1", "UTF-16"),
    "Latin-1": (HEAD + GOOD + "u2,café,5,1\n".encode("latin-1"), ":3", "Latin-1"),
    "Latin-1 in the header": ("usér_id,item_id\n".encode("latin-1"), ":1", "Latin-1"),
    "a rating of nan": (HEAD + GOOD + b"u2,i2,nan,1\n", ":3", "rating is not finite"),
    "a rating of -inf": (HEAD + GOOD + b"u2,i2,-inf,1\n", ":3", "rating is not finite"),
    "a rating of text": (HEAD + GOOD * 2 + b"u,i,good,1\n" + GOOD * 6, ":4", "'good'"),
    "a decimal comma": (HEAD + b'u2,i2,"4,5",1\n', ":2", "'4,5'"),
    "a negative timestamp": (HEAD + GOOD + b"u2,i2,5,-1\n", ":3", "timestamp"),
    "a timestamp in microseconds": (HEAD + GOOD + b"u2,i2,5,1577836800000000\n", ":3", "time"),
    "an infinite timestamp": (HEAD + GOOD + b"u2,i2,5,inf\n", ":3", "timestamp"),
    "a timestamp of text": (HEAD + GOOD + b"u2,i2,5,soon\n", ":3", "'soon'"),
    "a blank timestamp": (HEAD + GOOD + b"u2,i2,5,\n", ":3", "timestamp"),
    "a date among numbers": (HEAD + GOOD + b"u2,i2,5,2020-01-01\n", ":3", "2020-01-01"),
    "a date before 1970": (HEAD + b"u1,i1,5,1969-12-31\n", ":2", "1970"),
    "an impossible date": (HEAD + b"u,i,5,2020-01-01\nu,j,5,2020-13-01\n", ":3", "2020-13-01"),
    "seconds, then milliseconds": (
        HEAD + GOOD + b"\n" + MS,
        ":4",
        "seconds (line 2) and milliseconds (line 4) are mixed",
    ),
    "milliseconds, then seconds": (HEAD + MS + GOOD, ":3", "(line 3) and milliseconds (line 2)"),
    "nothing": (b"", "", "empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "", "empty"),
    "blank lines alone": (b"\n\r\n\n", "", "empty"),
    "a header alone": (HEAD, "", "a header and no rows"),
    "a header alone, cut off": (HEAD[:-1], "", "a header and no rows"),
}

UNCLOSED = {
    "in the first field": (HEAD + GOOD + b'"u2,i2,5,1\n' + GOOD, ":3"),
    "in a middle field": (HEAD + GOOD + b'u2,"i2,5,1\n' + GOOD, ":3"),
    "in the last field": (HEAD + GOOD + b'u2,i2,5,"1\n' + GOOD, ":3"),
    "in the last field of the file": (HEAD + GOOD + b'u2,i2,5,"1', ":3"),
    "in the last line": (HEAD + GOOD + b'"u2,i2,5,1', ":3"),
    "in the first row": (HEAD + b'"u2,i2,5,1\n' + GOOD * 3, ":2"),
    "before an escaped quote": (HEAD + GOOD + b'u2,"i2"",5,1\n' + GOOD, ":3"),
    "up to a quote in a later line": (HEAD + GOOD + b'u2,"i2,5,1\nu3,i3",5,1\n', ":3"),
    "over a line end alone": (HEAD + b'u1,"i1\n",5,1\n' + GOOD, ":2"),
    "over a blank line": (HEAD + b'u1,"i1\n\n",5,1\n' + GOOD, ":2"),
    "over a line end before a short row": (HEAD + b'"u1,i1\nx",i1,5,1\nu2,i2,5\n', ":2"),
    "with an even number on the line": (HEAD + GOOD + b'u"2,"i2,5,1\n' + GOOD, ":3"),
    "with an even number, closed later": (HEAD + GOOD + b'u"2,"i2,5,1\nu3,i3",5,1\n', ":3"),
    "twice": (HEAD + GOOD + b'"u2,"i2,5,1\n' + GOOD, ":3"),
    "twice in a row with an extra field": (HEAD + GOOD + b'"u2,"i2,5,1,7\n' + GOOD, ":3"),
    "in the header": (b'user_id,"item_id,rating,timestamp\n' + GOOD, ":1"),
}


@pytest.mark.parametrize(("content", "place", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_by_name_and_line(
    tmp_path: Path, content: bytes, place: str, words: str
) -> None:
    path = write(tmp_path, content)
    message = refusal(path)
    assert message.startswith(f"{path}{place}: ")
    assert words in message


@pytest.mark.parametrize(("content", "place"), UNCLOSED.values(), ids=UNCLOSED)
def test_an_unclosed_quote_names_its_line(tmp_path: Path, content: bytes, place: str) -> None:
    path = write(tmp_path, content)
    assert refusal(path).startswith(f"{path}{place}: ")


BAD_MOVIELENS = {
    "an extra field": (b"1::2::5::9\n1::2::5::9::7\n", ":2", "user::item::rating::timestamp"),
    "an extra field everywhere": (b"1::2::5::9::7\n" * 3, ":1", "user::item::rating::timestamp"),
    "a short row": (b"1::2::5::9\n1::2::5\n", ":2", "3 fields where 4"),
    "semicolons": (b"1;2;5;9\n", ":1", "user::item::rating::timestamp"),
    "another header": (b"who,movieId,rating,timestamp\n1,2,5,9\n", ":1", "expected"),
    "a blank id": (b"1\t2\t5\t9\n1\t\t5\t9\n", ":2", "item_id is blank"),
}


@pytest.mark.parametrize(("content", "place", "words"), BAD_MOVIELENS.values(), ids=BAD_MOVIELENS)
def test_a_bad_movielens_file_is_refused_by_name_and_line(
    tmp_path: Path, content: bytes, place: str, words: str
) -> None:
    path = write(tmp_path, content, "ratings.dat")
    message = refusal(path, Format.MOVIELENS)
    assert message.startswith(f"{path}{place}: ")
    assert words in message


def test_a_bad_row_in_a_later_block_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, HEAD + GOOD * 50 + b"\n\nu2,i2,bad,1\n" + GOOD)
    in_blocks_of(monkeypatch, 40)
    assert refusal(path).startswith(f"{path}:54: rating 'bad'")


def test_units_mixed_over_blocks_name_both_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, HEAD + GOOD * 50 + MS)
    in_blocks_of(monkeypatch, 40)
    message = refusal(path)
    assert "line 2" in message
    assert "line 52" in message


@pytest.mark.parametrize("time", [b"1", b"1577836800000", b"2020-01-01T00:00:00Z"])
def test_good_rows_are_read_without_a_python_object_for_each_line(
    time: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Block) -> list[tuple[int, bytes]]:
        raise AssertionError("a block was split into lines")

    monkeypatch.setattr(Block, "rows", refuse)
    path = write(tmp_path, HEAD + b"u1,i1,5," + time + b"\nu1,i2,5," + time + b"\n")
    assert len(read_ratings(path, Format.CSV).users) == 2


@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
def test_milliseconds_and_dates_are_mixed_units_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    path = write(tmp_path, HEAD + MS * 5 + b"u1,i1,5,2020-01-01\n" * 5)
    in_blocks_of(monkeypatch, block_bytes)
    assert str(path) in refusal(path)


def test_a_minimum_rating_needs_a_rating_column(tmp_path: Path) -> None:
    path = write(tmp_path, b"user_id,item_id\nu1,i1\n")
    with pytest.raises(UsageError, match="`min_rating` is given and the file has no rating column"):
        read_ratings(path, Format.CSV, min_rating=4)


def test_a_minimum_rating_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + GOOD * 3)
    assert (
        refusal(path, min_rating=5.5)
        == f"{path}: none of the 3 rows reaches `min_rating`; give a lower one"
    )


def test_rows_under_the_minimum_rating_are_dropped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + b"a,x,3.9,1\nb,y,4,2\nc,z,5e0,3\nd,x,-1,4\n")
    ratings = read_ratings(path, Format.CSV, min_rating=4)
    assert contents(ratings) == ([("b", "y"), ("c", "z")], [2000, 3000], 2)


ODD_IDS = ["NA", "null", "nan", "007", "7", "1e5", "100000", "0x1F", "True", "#1", "-", "."]
ODD_IDS += ["12345678901234567890", "12345678901234567891", "a b  c"]
ODD_IDS += ["日本", "café", "cafe\u0301"]
HEADERS = {
    Format.CSV: ("user_id,item_id\n", ","),
    Format.MOVIELENS: ("userId::movieId\n", "::"),
    Format.RECBOLE: ("user_id:token\titem_id:token\n", "\t"),
}


@pytest.mark.parametrize("file_format", HEADERS)
def test_ids_are_kept_exactly_as_strings(tmp_path: Path, file_format: Format) -> None:
    head, delimiter = HEADERS[file_format]
    lines = "".join(f"{each}{delimiter}{each}\n" for each in ODD_IDS)
    ratings = read_ratings(write(tmp_path, (head + lines).encode()), file_format)
    assert contents(ratings) == ([(each, each) for each in ODD_IDS], None, 0)


THREE = HEAD + b"u1,i1,5,100\nu2,i1,4,200\nu1,i2,3,300\n"


@pytest.mark.parametrize("block_bytes", [33, 34, 40, 1 << 20])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_line_endings_and_blank_lines_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes, block_bytes: int
) -> None:
    expected = contents(read_ratings(write(tmp_path, THREE, "plain.csv"), Format.CSV))
    path = write(tmp_path, b"\xef\xbb\xbf" + THREE.replace(b"\n", ending))
    in_blocks_of(monkeypatch, block_bytes)
    assert contents(read_ratings(path, Format.CSV)) == expected


LAYOUTS = {
    "columns in another order": (Format.CSV, b"timestamp,rating,item_id,user_id\n9,5,2,1\n"),
    "quoted header and fields": (Format.CSV, b'"user_id","item_id","timestamp"\n"1","2","9"\n'),
    "other names, capitals": (Format.CSV, b"UserID,MovieID,Rating,Timestamp\n1,2,5,9\n"),
    "double colons": (Format.MOVIELENS, b"1::2::5::9\n"),
    "double colons, header": (Format.MOVIELENS, b"userId::movieId::timestamp\n1::2::9\n"),
    "tabs": (Format.MOVIELENS, b"1\t2\t5\t9\n"),
    "tabs, header": (Format.MOVIELENS, b"userId\tmovieId\trating\ttimestamp\n1\t2\t5\t9\n"),
    "commas": (Format.MOVIELENS, b"1,2,5,9\n"),
    "commas, header": (Format.MOVIELENS, b"userId,movieId,rating,timestamp\n1,2,5,9\n"),
    "ncf": (Format.NCF, b"1\t2\t5\t9\n"),
    "recbole": (Format.RECBOLE, b"user_id:token\titem_id:token\ttimestamp:float\n1\t2\t9\n"),
}


@pytest.mark.parametrize(("file_format", "content"), LAYOUTS.values(), ids=LAYOUTS)
def test_each_layout_gives_the_same_interaction(
    tmp_path: Path, file_format: Format, content: bytes
) -> None:
    ratings = read_ratings(write(tmp_path, content), file_format)
    assert contents(ratings) == ([("1", "2")], [9000], 0)


def test_gzip_gives_the_same_as_plain_text(tmp_path: Path) -> None:
    plain = read_ratings(write(tmp_path, THREE), Format.CSV)
    packed = read_ratings(write(tmp_path, gzip.compress(THREE), "r.csv.gz"), Format.CSV)
    assert contents(packed) == contents(plain)


MOMENTS = ["1577836800", "1577836800000", "1577836800.0", "1.5778368e9", " 1577836800 "]
MOMENTS += ["2020-01-01", "2020-01-01 00:00:00", "2020-01-01T00:00:00", "2020-01-01T00:00:00.000"]
MOMENTS += ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000000"]


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_may_be_seconds_milliseconds_or_iso_8601(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, HEAD + f"u1,i1,5,{text}\n".encode())
    assert contents(read_ratings(path, Format.CSV)) == ([("u1", "i1")], [1_577_836_800_000], 0)


ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
rows = st.tuples(
    ids.filter(str.strip),
    ids.filter(str.strip),
    st.floats(-1e6, 1e6).map(str),
    st.integers(0, 10**10).map(str),
)


@settings(max_examples=100, deadline=None)
@given(table=st.lists(rows, min_size=1, max_size=12), block_bytes=st.integers(100, 400))
def test_whatever_the_csv_module_writes_comes_back_exactly(
    table: list[tuple[str, str, str, str]], block_bytes: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEAD.decode().strip().split(","), *table])
    times = [int(timestamp) * 1000 for *_, timestamp in table]
    expected = ([(user.strip(), item.strip()) for user, item, _, _ in table], times, 0)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder), text.getvalue().encode())
        assert contents(read_ratings(path, Format.CSV)) == expected
        in_blocks_of(patch, block_bytes)
        assert contents(read_ratings(path, Format.CSV)) == expected
