"""Ratings files of each format, each bad in one way: ``ncf data prepare`` names the line."""

import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from tests.commands import done, refused, snapshot

ROWS = [
    *(("a", "1", "4", "1000"), ("a", "2", "3", "1001"), ("a", "3", "5", "1002")),
    *(("b", "1", "4", "1003"), ("b", "2", "3", "1004"), ("b", "3", "5", "1005")),
]


class Layout(NamedTuple):
    """How a format writes rows."""

    file_format: str
    delimiter: str
    header: str = ""
    quote: str = ""
    expected: str = ""

    def write(self, rows: Sequence[tuple[str, ...]]) -> str:
        lines = [self.delimiter.join(row) for row in rows]
        return "".join(f"{line}\n" for line in [*([self.header] if self.header else []), *lines])

    def line(self, row: int) -> int:
        """Number in the file of a row counted from 1."""
        return row + bool(self.header)


MOVIELENS = "user::item::rating::timestamp, or the same with tabs or commas"
LAYOUTS = {
    "csv": Layout("csv", ",", "user_id,item_id,rating,timestamp", '"', "user_id,item_id[,rating]"),
    "colons": Layout("movielens", "::", expected=MOVIELENS),
    "tabs": Layout("movielens", "\t", expected=MOVIELENS),
    "commas": Layout(
        "movielens", ",", "userId,movieId,rating,timestamp", '"', "userId,movieId,rating,timestamp"
    ),
    "recbole": Layout(
        "recbole",
        "\t",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float",
        expected="user_id:token<TAB>item_id:token",
    ),
    "ncf": Layout("ncf", "\t", expected="user, item, rating, timestamp; tabs"),
}
TRIPLE_PARTS = {".test.rating": "a\t9\t4\t2000\n", ".test.negative": "(a,9)\t4\t5\n"}


def _last(*row: str) -> Callable[[Layout], str]:
    """Append a row."""
    return lambda layout: layout.write([*ROWS, row])


# What is wrong, and what the message says; {line} is the line of the seventh row.
BAD: dict[str, tuple[Callable[[Layout], str | bytes], str]] = {
    "an extra field": (_last("c", "1", "1", "1", "x"), ":{line}: 5 fields where 4 belong"),
    "a short row": (_last("c", "1", "1"), ":{line}: 3 fields where 4 belong"),
    "a last line cut off": (
        lambda layout: layout.write([*ROWS, ("c", "1")])[:-1],
        ":{line}: 2 fields where 4 belong",
    ),
    "a blank user": (_last(" ", "1", "1", "1"), ":{line}: user_id is blank"),
    "a blank item": (_last("c", "", "1", "1"), ":{line}: item_id is blank"),
    "a NUL byte": (_last("c", "1\0", "1", "1"), ":{line}: NUL byte in the text"),
    "UTF-16": (lambda layout: layout.write(ROWS).encode("utf-16"), "the file is UTF-16"),
    "UTF-16 unmarked": (lambda layout: layout.write(ROWS).encode("utf-16-le"), ":1: NUL byte"),
    "UTF-32": (lambda layout: layout.write(ROWS).encode("utf-32"), "the file is UTF-32"),
    "Latin-1": (
        lambda layout: layout.write([*ROWS, ("Amélie", "1", "1", "1")]).encode("latin-1"),
        ":{line}: byte 0xe9 is not UTF-8",
    ),
    "a rating of text": (_last("c", "1", "good", "1"), ":{line}: rating 'good' is not a number"),
    "a rating of NaN": (_last("c", "1", "NaN", "1"), ":{line}: rating is not finite"),
    "a rating of inf": (_last("c", "1", "-inf", "1"), ":{line}: rating is not finite"),
    "a negative time": (_last("c", "1", "1", "-5"), ":{line}: timestamp is not a plausible"),
    "an absurd time": (_last("c", "1", "1", "1e17"), ":{line}: timestamp is not a plausible"),
    "a time of text": (_last("c", "1", "1", "noon"), ":{line}: timestamp 'noon' is not"),
    "mixed units": (
        _last("c", "1", "1", "1600000000000"),
        ":{line}: timestamps in seconds (line {first}) and milliseconds (line {line}) are mixed",
    ),
    "an empty file": (lambda _: b"", "the file is empty"),
    "blank lines alone": (lambda _: b"\n\r\n\r", "the file is empty"),
}
BAD_WITH_HEADER: dict[str, tuple[Callable[[Layout], str | bytes], str]] = {
    "a header alone": (lambda layout: layout.header, "a header and no rows"),
    "all rows with one more": (
        lambda layout: layout.write([(*row, "x") for row in ROWS]),
        ":2: 5 fields where 4 belong",
    ),
    "another header": (
        lambda layout: layout.delimiter.join(["user_id", "thing", "when"]) + "\n",
        ":1: header is ",
    ),
    "a column twice": (
        lambda layout: layout.delimiter.join(["uid", "item_id", "user"]) + "\n",
        ":1: header is ",
    ),
    "another delimiter": (
        lambda layout: layout.write(ROWS).replace(layout.delimiter, "/"),
        ":1: ",
    ),
}
BAD_WITH_QUOTES: dict[str, tuple[Callable[[Layout], str | bytes], str]] = {
    "an unclosed quote": (_last('"c', "1", "1", "1"), ":{line}: a quote is not closed"),
    "text after a quote": (_last('"c"x', "1", "1", "1"), ":{line}: a quote is not closed, or text"),
    "a quote over two lines": (_last('"c\nd"', "1", "1", "1"), ":{line}: a quote is not closed"),
}


@pytest.fixture
def home(tmp_path: Path, data_folder: Path) -> Path:
    """A folder that holds the last good output."""
    shutil.copytree(data_folder, tmp_path / "out")
    return tmp_path


def _write(home: Path, name: str, content: str | bytes) -> list[str]:
    """Write a file (and, for a triple, the other two); words that read it."""
    layout = LAYOUTS[name]
    encoded = content if isinstance(content, bytes) else content.encode()
    if layout.file_format == "ncf":
        (home / "r.train.rating").write_bytes(encoded)
        for suffix, part in TRIPLE_PARTS.items():
            (home / f"r{suffix}").write_text(part)
    else:
        (home / "r").write_bytes(encoded)
    words = f"data prepare --ratings r --format {layout.file_format} --negatives 2 --out"
    return words.split()


CASES = [
    (name, what)
    for name, layout in LAYOUTS.items()
    for what in [
        *BAD,
        *(BAD_WITH_HEADER if layout.header else ()),
        *(BAD_WITH_QUOTES if layout.quote else ()),
    ]
]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_a_bad_file_names_its_line_and_leaves_the_last_data(
    name: str, what: str, home: Path
) -> None:
    layout = LAYOUTS[name]
    make, message = {**BAD, **BAD_WITH_HEADER, **BAD_WITH_QUOTES}[what]
    line = refused(*_write(home, name, make(layout)), "out", cwd=home)
    assert "ncf: r" in line
    assert message.format(line=layout.line(7), first=layout.line(1)) in line
    if what == "another delimiter":
        assert "; expected '" in line
    if what in {"an extra field", "a short row", "another header"}:
        assert f"expected '{layout.expected}" in line
    if "UTF" in what or what == "Latin-1":
        assert "iconv -f" in line


def test_where_there_was_no_output_there_is_none_afterwards(tmp_path: Path) -> None:
    words = _write(tmp_path, "csv", "user_id,item_id\na,b,c\n")
    assert "r:2: 3 fields" in refused(*words, "new", cwd=tmp_path)


@pytest.mark.parametrize("width", [2, 5])
@pytest.mark.parametrize("delimiter", ["::", "\t", ","])
def test_a_movielens_file_of_another_width_is_told_what_belongs(
    delimiter: str, width: int, home: Path
) -> None:
    content = delimiter.join(map(str, range(width))) + "\n"
    line = refused(*_write(home, "tabs", content), "out", cwd=home)
    assert f"r:1: the line has neither three nor four fields; expected '{MOVIELENS}'" in line


TRIPLE_BAD = {
    "no test file": (".test.rating", None, "r.test.rating: no such file"),
    "an empty test file": (".test.rating", b"", "r.test.rating: the file is empty"),
    "a short test row": (".test.rating", b"a\t9\t4\n", "r.test.rating:1: 3 fields where 4 belong"),
    "no negatives": (".test.negative", b"(a,9)\n", "r.test.negative:1: no sampled items"),
    "a pair in other marks": (".test.negative", b"[a,9]\t4\t5\n", ":1: '[a,9]' is not a pair"),
    "code for a pair": (".test.negative", b"__import__('os')\t4\t5\n", "is not a pair"),
    "a blank negative": (".test.negative", b"(a,9)\t4\t \n", ":1: an item id is blank"),
    "another pair": (".test.negative", b"(a,8)\t4\t5\n", "row 1 is for ('a', '8')"),
    "a row too many": (".test.negative", b"(a,9)\t4\t5\n(b,9)\t4\t5\n", "2 rows where the test"),
    "rows of other widths": (".test.negative", b"(a,9)\t4\t5\n(a,9)\t4\n", ":2: 2 fields where 3"),
    "Latin-1": (".test.negative", "(a,9)\té\t5\n".encode("latin-1"), ":1: byte 0xe9 is not UTF-8"),
}


@pytest.mark.parametrize("what", TRIPLE_BAD)
def test_a_triple_with_one_bad_file_names_it(what: str, home: Path) -> None:
    suffix, content, message = TRIPLE_BAD[what]
    words = _write(home, "ncf", LAYOUTS["ncf"].write(ROWS))
    if content is None:
        (home / f"r{suffix}").unlink()
    else:
        (home / f"r{suffix}").write_bytes(content)
    assert message in refused(*words, "out", cwd=home)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst", "lz4"])
def test_a_damaged_compressed_file_is_named(suffix: str, home: Path) -> None:
    (home / f"r.csv.{suffix}").write_bytes(b"\x1f\x8b\x08\0junk")
    words = f"data prepare --format csv --out out --ratings r.csv.{suffix}"
    line = refused(*words.split(), cwd=home)
    assert f"r.csv.{suffix}: cannot be read" in line
    assert "is the compressed file whole?" in line


def test_a_compressed_file_cut_off_is_named(home: Path) -> None:
    whole = gzip.compress(LAYOUTS["csv"].write(ROWS).encode())
    (home / "r.csv.gz").write_bytes(whole[: len(whole) // 2])
    words = "data prepare --format csv --out out --ratings r.csv.gz"
    assert "r.csv.gz: cannot be read" in refused(*words.split(), cwd=home)


@pytest.mark.parametrize(
    ("what", "told"),
    [("missing", "no such file; check the path"), ("folder", "the folder holds no Parquet file")],
)
def test_a_missing_file_or_a_folder_is_named(what: str, told: str, home: Path) -> None:
    (home / "folder").mkdir()
    words = f"data prepare --format csv --out out --ratings {what}"
    assert f"{what}: {told}" in refused(*words.split(), cwd=home)


TITLES = {
    "another header": (
        b"id,name\n1,A\n",
        "no column 'item_id'; expected 'item_id,title'",
    ),
    "two titles": (b"item_id,title\n1,A\n1,B\n", "t.csv:3: item '1' has two titles"),
    "an extra field": (b"item_id,title\n1,A,B\n", "t.csv:2: 3 fields where 2 belong"),
    "a blank id": (b"item_id,title\n ,B\n", "t.csv:2: item_id is blank"),
    "an unclosed quote": (b'item_id,title\n1,"A\n', "t.csv:2: a quote is not closed"),
    "Latin-1": (b"item_id,title\n1,Am\xe9lie\n", "t.csv:2: byte 0xe9 is not UTF-8"),
    "UTF-16": ("item_id,title\n".encode("utf-16"), "t.csv: the file is UTF-16"),
    "an empty file": (b"", "t.csv: the file is empty; expected 'item_id,title'"),
}


@pytest.mark.parametrize("what", TITLES)
def test_a_bad_file_of_titles_names_its_line(what: str, home: Path) -> None:
    content, message = TITLES[what]
    (home / "t.csv").write_bytes(content)
    words = [*_write(home, "csv", LAYOUTS["csv"].write(ROWS)), "out", "--titles", "t.csv"]
    assert message in refused(*words, cwd=home)


def _parts(folder: Path) -> dict[str, bytes | None]:
    """Everything but the manifest, which holds the digest of the source."""
    return {name: data for name, data in snapshot(folder).items() if name != "data.json"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_line_ends_blank_lines_and_a_byte_order_mark_change_nothing(name: str, home: Path) -> None:
    unix = LAYOUTS[name].write(ROWS)
    done(*_write(home, name, unix), "unix", cwd=home)
    expected = _parts(home / "unix")
    for content in (
        unix.replace("\n", "\r\n"),
        unix.replace("\n", "\r"),
        unix.replace("\n", "\n\n\n"),
        unix.rstrip("\n"),
        f"\ufeff{unix}",
    ):
        done(*_write(home, name, content), "other", cwd=home)
        assert _parts(home / "other") == expected


STRANGE = ["NA", "null", "nan", "007", "1e5", "12345678901234567890", "Zoë №7", "a b", "-1", "True"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_strange_ids_are_kept_as_they_are(name: str, home: Path) -> None:
    rows = [(user, item, "1", "1") for user in STRANGE for item in STRANGE[::2]]
    done(*_write(home, name, LAYOUTS[name].write(rows)), "out", cwd=home)
    users = pq.read_table(home / "out" / "users.parquet")["user_id"].to_pylist()
    items = pq.read_table(home / "out" / "items.parquet")["item_id"].to_pylist()
    extra = ["a"] if name == "ncf" else []
    assert sorted(users) == sorted([*STRANGE, *extra])
    assert set(STRANGE[::2]) <= set(items)
