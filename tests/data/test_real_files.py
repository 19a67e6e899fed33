"""Ratings files as people have them: packed, under other names, with columns of their own."""

import bz2
import datetime
import decimal
import gzip
import io
import lzma
import os
import threading
import uuid
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncf.data.frames import read_frame
from ncf.data.id_files import read_ids, read_pairs
from ncf.data.interactions import latest_by_user
from ncf.data.naming import Naming, ReadAs
from ncf.data.options import Format
from ncf.data.origins import at_rest, digest_of
from ncf.data.ratings import Ratings
from ncf.data.readers import read_ratings
from ncf.data.titles import read_titles
from ncf.errors import NcfError, UsageError

TEXT = b"user_id,item_id,rating,timestamp\nu1,i1,5,100\nu2,i1,4,200\nu1,i2,3,300\n"
PAIRS = [("u1", "i1"), ("u2", "i1"), ("u1", "i2")]


def write(folder: Path, content: bytes | str, name: str = "r.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(folder: Path, name: str = "r.parquet", **columns: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def pairs(ratings: Ratings) -> list[tuple[str, str]]:
    return list(zip(ratings.users.to_pylist(), ratings.items.to_pylist(), strict=True))


def read(path: Path, columns: str | None = None, file_format: Format = Format.AUTO) -> Ratings:
    return read_ratings(path, file_format, read_as=ReadAs(Naming.parse(columns)))


def refusal(path: Path, columns: str | None = None, file_format: Format = Format.AUTO) -> str:
    with pytest.raises(NcfError) as caught:
        read(path, columns, file_format)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- what a file really is


PACKED = {
    "zip": zipped(**{"ratings.csv": TEXT}),
    "zip of a Mac": zipped(**{"a/r.csv": TEXT, "__MACOSX/a/._r.csv": b"x", "a/.DS_Store": b"x"}),
    "gzip": gzip.compress(TEXT),
    "gzip of two members": gzip.compress(TEXT[:40]) + gzip.compress(TEXT[40:]),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "xz of two streams": lzma.compress(TEXT[:40]) + lzma.compress(TEXT[40:]),
    "zstd": pa.Codec("zstd").compress(TEXT, asbytes=True),
    "lz4": pa.Codec("lz4").compress(TEXT, asbytes=True),
    "plain": TEXT,
}


@pytest.mark.parametrize("name", ["r.csv", "r", "r.csv.gz", "r.zip"])
@pytest.mark.parametrize("what", PACKED)
def test_a_packed_file_is_read_whatever_it_is_called(what: str, name: str, tmp_path: Path) -> None:
    assert pairs(read(write(tmp_path, PACKED[what], name))) == PAIRS


@pytest.mark.parametrize("file_format", [Format.AUTO, Format.CSV, Format.MOVIELENS])
def test_parquet_is_read_whatever_it_is_called(file_format: Format, tmp_path: Path) -> None:
    path = parquet(tmp_path, "r.csv", user_id=["u1", "u2"], movieId=[1, 2], genres=["a", "b"])
    found = read(path, file_format=file_format)
    assert pairs(found) == [("u1", "1"), ("u2", "2")]
    assert found.reading.format is Format.PARQUET
    assert found.reading.ignored == ("genres",)


OTHER = {
    "zip of two": (zipped(a=TEXT, b=TEXT), "the zip archive holds 2 files (a, b)"),
    "zip of none": (zipped(), "the zip archive holds no file"),
    "zip of gzip": (zipped(a=gzip.compress(TEXT)), "the file holds another, of gzip"),
    "a workbook": (zipped(**{"[Content_Types].xml": b"", "xl/a": b""}), "an Excel workbook"),
    "a zip cut off": (PACKED["zip"][:-30], "cannot be read"),
    "xz cut off": (PACKED["xz"][:-10], "cannot be read"),
    "tar": (b"a".ljust(257, b"\0") + b"ustar\x0000", "the file is a tar archive"),
    "tar in gzip": (gzip.compress(b"a".ljust(257, b"\0") + b"ustar\x0000"), "a tar archive"),
    "UTF-16": (TEXT.decode().encode("utf-16"), "the file is UTF-16"),
    "UTF-16 in gzip": (gzip.compress(TEXT.decode().encode("utf-16")), "the file is UTF-16"),
    "SQLite": (b"SQLite format 3\0" + b"\0" * 84, "the file is an SQLite database"),
    "Arrow": (b"ARROW1\0\0", "the file is Arrow IPC"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "the file is HDF5"),
    "ORC": (b"ORC\n", "the file is ORC"),
    "Avro": (b"Obj\x01", "the file is Avro"),
    "a pickle": (b"\x80\x04\x95\x10", "the file is a pickle"),
    "JSON lines": (b'{"user_id": "a"}\n', "the file is JSON, not a table"),
    "a web page": (b"<!DOCTYPE html>\n<html>", "the file is a page of HTML"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
}


@pytest.mark.parametrize("what", OTHER)
def test_a_file_that_cannot_be_read_hears_what_it_is(what: str, tmp_path: Path) -> None:
    content, told = OTHER[what]
    message = refusal(write(tmp_path, content))
    assert told in message
    assert "; " in message  # and a remedy


def test_a_pipe_is_read_once_and_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    fifo, plain = tmp_path / "fifo", write(tmp_path, TEXT)
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(TEXT), daemon=True)
    writer.start()
    with at_rest(fifo) as at:
        found = read_ratings(fifo, read_as=ReadAs(at=at))
        assert digest_of(at) == digest_of(plain)
    writer.join()
    assert pairs(found) == PAIRS
    assert not at.exists()


# --- Parquet

IDS = {
    "int8": pa.array([3, 1, 3], pa.int8()),
    "uint64": pa.array([3, 1, 3], pa.uint64()),
    "decimal": pa.array([decimal.Decimal(each) for each in (3, 1, 3)], pa.decimal128(20, 0)),
    "string": pa.array(["3", "1", "3"]),
    "large_string": pa.array(["3", "1", "3"], pa.large_string()),
    "string_view": pa.array(["3", "1", "3"], pa.string_view()),
    "binary": pa.array([b"3", b"1", b"3"]),
    "large_binary": pa.array([b"3", b"1", b"3"], pa.large_binary()),
    "dictionary": pa.DictionaryArray.from_arrays([2, 1, 2], ["unused", "1", "3"]),
    "dictionary of integers": pa.DictionaryArray.from_arrays([2, 1, 2], [0, 1, 3]),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_type_that_can_be_ids_are_strings(kind: str, tmp_path: Path) -> None:
    path = parquet(tmp_path, user=IDS[kind], item=["a", "b", "a"])
    found = read(path)
    assert found.users.to_pylist() == ["3", "1", "3"]
    assert found.users.dictionary.to_pylist() == ["3", "1"]  # by first appearance, none unused
    of_frame = read_frame(pa.table({"user": IDS[kind], "item": ["a", "b", "a"]}))
    assert pairs(of_frame) == pairs(found)
    assert read_ids(path, "user_id").to_pylist() == ["3", "1"]


def test_uuids_in_bytes_are_written_out(tmp_path: Path) -> None:
    ids = [uuid.UUID(int=each) for each in (7, 8)]
    stored = pa.array([each.bytes for each in ids], pa.binary(16))
    users = pa.ExtensionArray.from_storage(pa.uuid(), stored)
    path = parquet(tmp_path, user_id=users, item_id=["a", "b"])
    assert read(path).users.to_pylist() == [str(each) for each in ids]


BAD_IDS = {
    "floats": (pa.array([1.0, 2.0]), "column 'user_id' is double; give ids as strings or whole"),
    "booleans": (pa.array([True, False]), "column 'user_id' is bool"),
    "lists": (pa.array([["a"], ["b"]]), "column 'user_id' is list"),
    "decimals": (pa.array([decimal.Decimal("1.5")] * 2, pa.decimal128(9, 2)), "is decimal128"),
    "bytes": (pa.array([b"a", b"\xff"]), "user_id holds bytes that are not UTF-8"),
    "a null": (pa.array(["a", None]), ", row 2: user_id is blank"),
    "a blank": (pa.array(["a", " "]), ", row 2: user_id is blank"),
}


@pytest.mark.parametrize("what", BAD_IDS)
def test_what_cannot_be_an_id_is_refused(what: str, tmp_path: Path) -> None:
    column, told = BAD_IDS[what]
    path = parquet(tmp_path, user_id=column, item_id=["a", "b"])
    message = refusal(path)
    assert message.startswith(str(path))
    assert told in message


def test_ids_of_parquet_and_frames_keep_their_spaces(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [" u", "u"], "item_id": ["a", "a "]})
    frame.to_parquet(tmp_path / "r")
    assert pairs(read(tmp_path / "r")) == pairs(read_frame(frame)) == [(" u", "a"), ("u", "a ")]


def test_a_folder_of_parts_is_read_as_spark_writes_it(tmp_path: Path) -> None:
    for number, user in enumerate(["u1", "u2", "u1"]):
        name = f"out/day={number}/part-{number:05}.snappy.parquet"
        parquet(tmp_path, name, user_id=[user], item_id=[f"i{number}"], timestamp=[number + 1])
    parquet(tmp_path, "out/day=3/part-00003.snappy.parquet", user_id=[], item_id=[], timestamp=[])
    folder = tmp_path / "out"
    for stray in ("_SUCCESS", ".part-00000.crc", "Thumbs.db", "_temporary/0"):
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_bytes(b"x")
    found = read(folder)
    assert pairs(found) == [("u1", "i0"), ("u2", "i1"), ("u1", "i2")]
    assert found.users.dictionary.to_pylist() == ["u1", "u2"]
    users, items = read_pairs(folder)
    assert (users.to_pylist(), items.to_pylist()) == (["u1", "u2", "u1"], ["i0", "i1", "i2"])
    assert read_ids(folder, "user_id").to_pylist() == ["u1", "u2"]
    before = digest_of(folder)
    (folder / "_SUCCESS").unlink()
    assert digest_of(folder) == before
    parquet(tmp_path, "out/day=0/part-00000.snappy.parquet", user_id=["x"], item_id=["y"])
    assert digest_of(folder) != before
    assert "has timestamps or lacks them" in refusal(folder)


def test_a_folder_of_links_is_read_as_caches_keep_it(tmp_path: Path) -> None:
    for number, user in enumerate(["u1", "u2", "u3"]):
        parquet(tmp_path, f"plain/day={number}/part.parquet", user_id=[user], item_id=["a"])
    plain, linked = tmp_path / "plain", tmp_path / "linked"
    (linked / "day=0").mkdir(parents=True)
    (linked / "day=0" / "part.parquet").symlink_to("../../plain/day=0/part.parquet")
    for folder in ("day=1", "day=2"):
        (linked / folder).symlink_to(f"../plain/{folder}")
    assert pairs(read(linked)) == [("u1", "a"), ("u2", "a"), ("u3", "a")]
    assert digest_of(linked) == digest_of(plain)
    (plain / "day=2" / "part.parquet").unlink()
    (plain / "day=2" / "part.parquet").symlink_to("nowhere")
    assert "part.parquet: no such file" in refusal(linked)
    (plain / "day=2" / "part.parquet").unlink()
    (plain / "day=2" / "back").symlink_to(linked)
    assert "back: is a link to a folder that it is in; remove the link" in refusal(linked)


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert "the folder holds no Parquet file" in refusal(tmp_path / "out")
    path = write(tmp_path / "out", TEXT, "part-00000.csv")
    assert refusal(tmp_path / "out").startswith(f"{path}: is not Parquet")


def test_parts_may_differ_in_type_and_order(tmp_path: Path) -> None:
    nothing = pa.nulls(0)
    parquet(tmp_path, "out/a.parquet", user_id=nothing, item_id=nothing, timestamp=nothing)
    parquet(tmp_path, "out/b.parquet", user_id=[7], item_id=["x"], timestamp=[5])
    coded = pa.array(["7", "8"]).dictionary_encode()
    time = pa.array([datetime.datetime(2020, 1, 1)] * 2, pa.timestamp("us"))
    parquet(tmp_path, "out/c.parquet", timestamp=time, item_id=["y", "x"], user_id=coded)
    found = read(tmp_path / "out")
    assert pairs(found) == [("7", "x"), ("7", "y"), ("8", "x")]
    assert found.users.dictionary.to_pylist() == ["7", "8"]


# --- columns

HEADERS = {
    "Amazon 2023": b"user_id,parent_asin,rating,timestamp\nu1,i1,5.0,1588687728923\n",
    "MovieLens": b"userId,movieId,rating,timestamp\nu1,i1,5.0,1588687728\n",
    "Yelp": b"review_id,user_id,business_id,stars,date\nr,u1,i1,5.0,2020-01-01\n",
    "RecBole with one more": b"user_id:token\titem_id:token\tlat:float\nu1\ti1\t3\n",
    "an index of pandas": b",user_id,item_id,rating\n0,u1,i1,4\n",
    "tabs": b"user\titem\tweight\nu1\ti1\t4\n",
    "a delimiter at the end": b"user_id,item_id,rating,\nu1,i1,4,\n",
    "a date column of text": b"user_id,item_id,review_date\nu1,i1,yesterday\n",
    "other columns first": b'text,isbn,uid\n"a, b",i1,u1\n',
}


@pytest.mark.parametrize("what", HEADERS)
def test_usual_names_are_known_among_other_columns(what: str, tmp_path: Path) -> None:
    assert pairs(read(write(tmp_path, HEADERS[what]))) == [("u1", "i1")]


def test_ignored_columns_are_named_and_counted(tmp_path: Path) -> None:
    found = read(write(tmp_path, HEADERS["Yelp"]))
    assert found.reading.ignored == ("review_id",)
    assert found.reading.counts() == {"ignored_columns": 1}
    assert found.timestamps is not None


def test_columns_are_named_by_the_caller(tmp_path: Path) -> None:
    text = "reviewerID,asin,parent_asin,score,when\nu1,x,i1,4,1588687728\n"
    columns = "user=reviewerID,item=parent_asin,rating=score,timestamp=when"
    found = read(write(tmp_path, text), columns)
    assert pairs(found) == [("u1", "i1")]
    assert found.timestamps is not None
    assert found.timestamps.tolist() == [1588687728000]
    frame = pd.read_csv(tmp_path / "r.csv")
    assert pairs(read_frame(frame, naming=Naming.parse(columns))) == [("u1", "i1")]
    frame.to_parquet(tmp_path / "r.parquet")
    assert pairs(read(tmp_path / "r.parquet", columns)) == [("u1", "i1")]


def test_a_file_without_header_is_read_by_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, b"0001713353,A1C6M8LCIX4M6M,5.0,1123804800\n")
    found = read(path, "user=2,item=1,rating=3,timestamp=4")
    assert pairs(found) == [("A1C6M8LCIX4M6M", "0001713353")]
    assert found.timestamps is not None
    assert "`columns` names the 5th" in refusal(path, "user=2,item=5")


ASKED = {
    "two items": (
        b"user_id,asin,parent_asin\nu,a,b\n",
        "'asin' and 'parent_asin' all match item_id",
    ),
    "two users": (b"uid,customer,item\nu,a,b\n", "'uid' and 'customer' all match user_id"),
    "two times": (b"user,item,time,event_time\nu,i,1,1\n", "all match timestamp"),
    "item first": (b"0001713353,A1C6M8LCIX4M6M,5.0,1123804800\n", "user=1,item=2"),
    "no header": (b"1,2,5,1123804800\n", "no header: the first line is '1,2,5,1123804800'"),
    "no header, tabs": (b"1\t2\t5\t1123804800\n", "no header"),
    "unknown names": (b"who,what\n1,2\n", 'name them: `columns="user=…,item=…"`'),
}


@pytest.mark.parametrize("what", ASKED)
def test_where_columns_could_be_meant_it_is_asked(what: str, tmp_path: Path) -> None:
    content, told = ASKED[what]
    message = refusal(write(tmp_path, content))
    assert told in message
    assert "`columns=" in message


def test_an_item_first_file_is_no_movielens(tmp_path: Path) -> None:
    path = write(tmp_path, ASKED["item first"][0])
    assert "which is the user's?" in refusal(path, file_format=Format.MOVIELENS)
    assert pairs(read(write(tmp_path, b"1::2::5::9\n"))) == [("1", "2")]


@pytest.mark.parametrize("columns", ["user", "user=", "who=x", "user=a,uid=b", "user=a,item=a"])
def test_columns_that_make_no_sense_are_refused(columns: str) -> None:
    with pytest.raises(UsageError, match="`columns`"):
        Naming.parse(columns)


DELIMITERS = {
    "unknown names": (b'"Who";"ISBN";"Book-Rating"\n"1";"0345";"0"\n', "by ';', not by"),
    "pipes": (b"who|item|rating\n1|2|3\n", "by '|', not by"),
    "no names": (b"a;b;c\n1;2;3\n", "by ';', not by"),
}


@pytest.mark.parametrize("file_format", [Format.AUTO, Format.CSV])
@pytest.mark.parametrize("what", DELIMITERS)
def test_another_delimiter_is_named_before_quotes(
    what: str, file_format: Format, tmp_path: Path
) -> None:
    content, told = DELIMITERS[what]
    message = refusal(write(tmp_path, content), file_format=file_format)
    assert told in message
    assert "write it with commas" in message


@pytest.mark.parametrize("mark", [";", "|"])
def test_other_delimiters_are_read_where_they_part_a_header_of_known_names(
    mark: str, tmp_path: Path
) -> None:
    rows = ['"User-ID";"ISBN";"Book-Rating"', '"1";"03;45";"0"', '2;"a ""b"", c";7', "3; d,e ;1"]
    text = "\n".join(rows).replace(";", mark) + "\n"
    path = write(tmp_path, text)
    wanted = [("1", f"03{mark}45"), ("2", 'a "b", c'), ("3", "d,e")]
    for file_format in (Format.AUTO, Format.CSV):
        found = read(path, file_format=file_format)
        assert pairs(found) == wanted
    assert pairs(read_ratings(path, min_rating=7)) == wanted[1:2]
    assert read_ids(path, "item_id").to_pylist() == [item for _, item in wanted]
    named = f"Who{mark}What\nu{mark}i\n"
    assert pairs(read(write(tmp_path, named), "user=Who,item=What")) == [("u", "i")]
    titles = f'"movieId"{mark}"title"\n1{mark}"Film{mark} The"\n'
    assert read_titles(write(tmp_path, titles)) == {"1": f"Film{mark} The"}


@pytest.mark.parametrize("mark", [";", "|"])
@pytest.mark.parametrize("row", ['"1";"a', '1;"a"b', '1;a;"5', '1;a"b";c;d', "1"])
def test_quotes_and_widths_are_judged_by_that_delimiter(
    row: str, mark: str, tmp_path: Path
) -> None:
    text = f"user;isbn;rating\n1;a;5\n{row}\n".replace(";", mark)
    assert refusal(write(tmp_path, text)).startswith(f"{tmp_path / 'r.csv'}:3: ")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_hint_of_excel_is_no_header(mark: str, tmp_path: Path) -> None:
    text = f"sep={mark}\nuser_id,item_id\nu1,i1\n".replace(",", mark)
    path = write(tmp_path, text)
    assert pairs(read(path)) == [("u1", "i1")]


def test_tabs_under_csv_are_told_of_auto(tmp_path: Path) -> None:
    path = write(tmp_path, b"user_id\titem_id\nu\ti\n")
    assert 'use `format="auto"`' in refusal(path, file_format=Format.CSV)


# --- times, ratings, spaces

EPOCH = "2020-01-01 00:00:00"


@pytest.mark.parametrize(
    "text",
    ["1577836800", "1577836800000", "1577836800000000", f"{EPOCH} UTC", f"{EPOCH}.000 UTC"],
)
def test_times_come_in_many_units(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"user_id,item_id,timestamp\nu,i,{text}\n")
    times = read(path).timestamps
    assert times is not None
    assert times.tolist() == [1577836800000]


def test_fractions_and_utc_may_differ_by_row(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,i,2020-01-01 00:00:00 UTC\nu,j,2020-01-01 00:00:00.5 UTC\n"
    times = read(write(tmp_path, text)).timestamps
    assert times is not None
    assert times.tolist() == [1577836800000, 1577836800500]


def test_milliseconds_and_microseconds_are_not_mixed(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\nu,i,1577836800000\nu,j,1577836800000000\n"
    assert "milliseconds (line 2) and microseconds (line 3)" in refusal(write(tmp_path, text))


@pytest.mark.parametrize(
    "times",
    [
        pa.array([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], pa.timestamp("ns", "UTC")),
        pa.array([datetime.datetime(2020, 1, 1)], pa.timestamp("s")),
        pa.array([datetime.date(2020, 1, 1)]),
        pa.array([1577836800000000]),
        pa.array([1577836800.0]),
        pa.array([f"{EPOCH} UTC"]),
    ],
)
def test_times_of_parquet_have_any_type(times: pa.Array, tmp_path: Path) -> None:
    path = parquet(tmp_path, user=["u"], item=["i"], event_time=times)
    found = read(path).timestamps
    assert found is not None
    assert found.tolist() == [1577836800000]


def test_a_blank_rating_matters_only_where_ratings_are_used(tmp_path: Path) -> None:
    path = write(tmp_path, b"user_id,item_id,rating\nu1,i1,\nu2,i1, \nu1,i2,3\n")
    assert pairs(read(path)) == PAIRS
    with pytest.raises(NcfError, match=":2: rating is blank"):
        read_ratings(path, min_rating=3)
    column = pa.array([None, float("nan"), 3.0])
    path = parquet(tmp_path, user=["u1", "u2", "u1"], item=["i1", "i1", "i2"], rating=column)
    assert pairs(read(path)) == PAIRS
    with pytest.raises(NcfError, match="row 1: rating is missing"):
        read_ratings(path, min_rating=3)


def test_spaces_around_ids_are_cut_off_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, b"user_id, item_id\nu1, i1\nu2 ,i1\nu1,i2 \n")
    found = read(path)
    assert pairs(found) == PAIRS
    assert found.reading.counts() == {"trimmed_ids": 3}
    assert found.items.dictionary.to_pylist() == ["i1", "i2"]
    kept = read_ratings(path, read_as=ReadAs(keep_spaces=True))
    assert pairs(kept) == [("u1", " i1"), ("u2 ", "i1"), ("u1", "i2 ")]
    assert kept.reading.counts() == {}


def test_spaces_are_cut_off_in_every_file_alike(tmp_path: Path) -> None:
    path = write(tmp_path, b"userId , movieId,title\n u1 , i1 , One \n")
    assert read_ids(path, "user_id").to_pylist() == ["u1"]
    assert read_ids(path, "item_id", ReadAs(keep_spaces=True)).to_pylist() == [" i1 "]
    assert [each.to_pylist() for each in read_pairs(path)] == [["u1"], ["i1"]]
    assert read_titles(path) == {"i1": " One "}


def test_a_quote_after_a_space_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b'user_id,item_id\nu1, "i1"\n')
    assert f"{path}:2: a space before a quote" in refusal(path)


# --- titles


def test_titles_of_movielens_and_over_two_lines(tmp_path: Path) -> None:
    movies = b'movieId,title,genres\n1,"Film, The",Drama\n\n2,"Two\nlines",War\n'
    assert read_titles(write(tmp_path, movies)) == {"1": "Film, The", "2": "Two\nlines"}
    path = write(tmp_path, b'item_id,title\n1,"a\nb"\n2,"c"x\n')
    with pytest.raises(NcfError, match=":4: a quote is not closed, or text follows it"):
        read_titles(path)
    path = parquet(tmp_path, movieId=[1, 2], title=["One", None])
    assert read_titles(path) == {"1": "One"}


# --- the latest rating decides first, then the threshold


def rated(*rows: tuple[str, str, float, int]) -> str:
    lines = "".join(f"{user},{item},{rating},{time}\n" for user, item, rating, time in rows)
    return f"user_id,item_id,rating,timestamp\n{lines}"


def test_a_pair_rated_five_and_later_one_is_not_liked(tmp_path: Path) -> None:
    text = rated(("u", "x", 1, 1), ("u", "a", 5, 100), ("v", "a", 5, 1), ("u", "a", 1, 200))
    found = read_ratings(write(tmp_path, text), min_rating=4)
    assert pairs(found) == [("v", "a")]
    assert found.dropped == 3
    assert found.users.dictionary.to_pylist() == ["v"]


def test_the_latest_is_told_by_time_and_then_by_the_order_of_rows(tmp_path: Path) -> None:
    by_time = rated(("u", "a", 1, 200), ("u", "a", 5, 100), ("u", "b", 1, 100), ("u", "b", 5, 200))
    assert pairs(read_ratings(write(tmp_path, by_time), min_rating=4)) == [("u", "b")]
    same = rated(("u", "a", 5, 7), ("u", "a", 1, 7), ("u", "b", 1, 7), ("u", "b", 5, 7))
    assert pairs(read_ratings(write(tmp_path, same), min_rating=4)) == [("u", "b")]
    frame = pd.read_csv(io.StringIO(same)).drop(columns="timestamp")
    assert pairs(read_frame(frame, min_rating=4)) == [("u", "b")]


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_agrees_with_pandas_on_the_latest_rows(seed: int, tmp_path: Path) -> None:
    rows = pd.DataFrame({"n": range(400)}).sample(frac=1, random_state=seed).n
    table = pd.DataFrame(
        {
            "user_id": "u" + (rows % 7).astype(str),
            "item_id": "i" + (rows % 11).astype(str),
            "rating": rows % 5 + 1,
            "timestamp": rows * 7919 % 97 + 1,
        }
    )
    table.to_csv(tmp_path / "r.csv", index=False)
    latest = table.sort_values("timestamp", kind="stable").drop_duplicates(
        ["user_id", "item_id"], keep="last"
    )
    liked = latest[latest["rating"] >= 4]
    expected = set(zip(liked["user_id"].tolist(), liked["item_id"].tolist(), strict=True))
    found = read_ratings(tmp_path / "r.csv", min_rating=4)
    assert set(pairs(found)) == expected
    kept, _ = latest_by_user(found)
    assert len(kept) == len(expected)
