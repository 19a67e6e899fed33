"""Files of users, items and interactions that shape a batch, each bad in one way."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncf.scoring.bundle import Bundle
from tests.commands import done, ncf, refused

# Option of 'ncf batch': header of its file and a good row.
FILES = {
    "--seen": ("user_id,item_id", "u1,film 1"),
    "--users": ("user_id", "u1"),
    "--exclude-items": ("item_id", "film 1"),
    "--candidates": ("item_id", "film 1"),
}
Make = Callable[[str, str], bytes]


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _parquet(columns: dict[str, pa.Array]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _columns(header: str, ids: pa.Array) -> dict[str, pa.Array]:
    return dict.fromkeys(header.split(","), ids)


BAD: dict[str, tuple[Make, str]] = {
    "an extra field": (lambda head, row: _lines(head, row, f"{row},x"), "f:3: "),
    "all rows with one": (lambda head, row: _lines(head, f"{row},x"), "f:2: "),
    "another header": (lambda _, row: _lines("name", row), "f:1: "),
    "no header": (lambda _, row: _lines(row, row), "f:1: "),
    "another delimiter": (
        lambda head, row: _lines(f"{head}/rating".replace(",", "/"), f"{row}/3"),
        "f:1: ",
    ),
    "a blank id": (
        lambda head, row: _lines(head, row, row.replace("u1", " ").replace("film 1", " ")),
        "f:3: ",
    ),
    "a NUL byte": (lambda head, row: _lines(head, row, f"{row}\0"), "f:3: NUL byte in the text"),
    "UTF-16": (lambda head, row: f"{head}\n{row}\n".encode("utf-16"), "f: the file is UTF-16"),
    "Latin-1": (
        lambda head, row: _lines(head, row) + b"\xe9,\xe9\n",
        "f:3: byte 0xe9 is not UTF-8",
    ),
    "an unclosed quote": (lambda head, row: _lines(head, f'"{row}'), "f:2: a quote is not closed"),
    "an empty file": (lambda *_: b"", "f: the file is empty"),
    "Parquet cut off": (
        lambda head, _: _parquet(_columns(head, pa.array(["a"])))[:-30],
        "f: not readable as Parquet",
    ),
    "Parquet of junk": (lambda *_: b"PAR1junkPAR1", "f: not readable as Parquet"),
    "Parquet of other columns": (lambda *_: _parquet({"x": pa.array(["a"])}), "f: no column "),
    "Parquet with a null": (
        lambda head, _: _parquet(_columns(head, pa.array(["a", None]))),
        "f, row 2: ",
    ),
    "Parquet with a blank": (
        lambda head, _: _parquet(_columns(head, pa.array(["a", " "]))),
        "f, row 2: ",
    ),
    "Parquet of floats": (
        lambda head, _: _parquet(_columns(head, pa.array([1.5]))),
        "is double; give ids as strings or whole numbers",
    ),
    "Parquet of lists": (
        lambda head, _: _parquet(_columns(head, pa.array([["a"]]))),
        "give ids as strings or whole numbers",
    ),
}


@pytest.fixture(scope="module")
def home(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a published table."""
    folder = tmp_path_factory.mktemp("filters")
    done("batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", cwd=folder)
    return folder


def _batch(bundle: Bundle, option: str) -> list[object]:
    return ["batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", option, "f"]


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("option", FILES)
def test_a_bad_file_is_named_and_the_last_table_stays(
    option: str, what: str, bundle: Bundle, home: Path
) -> None:
    make, message = BAD[what]
    (home / "f").write_bytes(make(*FILES[option]))
    assert message in refused(*_batch(bundle, option), cwd=home)


@pytest.mark.parametrize("option", FILES)
@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_missing_file_or_a_folder_is_named_with_its_option(
    option: str, what: str, bundle: Bundle, home: Path
) -> None:
    (home / "folder").mkdir(exist_ok=True)
    line = refused(*_batch(bundle, option)[:-1], what, cwd=home)
    assert f"{what}: no such file, for {option}; check the path" in line


@pytest.mark.parametrize("option", FILES)
def test_a_table_is_not_verified_against_files_that_it_was_not_run_with(
    option: str, bundle: Bundle, home: Path
) -> None:
    (home / "f").write_bytes(_lines(*FILES[option]))
    line = refused("verify", "--run", "topk", "--bundle", bundle.path, option, "f", cwd=home)
    assert f"was not run with this {option}" in line


HEADER_ALONE = {
    "--seen": None,
    "--users": "f: names no user",
    "--exclude-items": None,
    "--candidates": "f: no item of the bundle is left to list",
}


@pytest.mark.parametrize("option", FILES)
def test_a_header_alone_is_nothing_or_an_error_where_nothing_makes_no_sense(
    option: str, bundle: Bundle, home: Path, tmp_path: Path
) -> None:
    (home / "f").write_bytes(_lines(FILES[option][0]))
    message = HEADER_ALONE[option]
    if message is None:
        (tmp_path / "f").write_bytes((home / "f").read_bytes())
        done(*_batch(bundle, option), cwd=tmp_path)
    else:
        assert message in refused(*_batch(bundle, option), cwd=home)


@pytest.mark.parametrize("option", FILES)
def test_line_ends_and_a_byte_order_mark_change_nothing(
    option: str, bundle: Bundle, tmp_path: Path
) -> None:
    head, row = FILES[option]
    tables = set()
    for content in (f"{head}\n{row}\n", f"{head}\r\n\r\n{row}", f"\ufeff{head}\r{row}\r"):
        (tmp_path / "f").write_bytes(content.encode())
        done(*_batch(bundle, option), cwd=tmp_path)
        run = (tmp_path / "topk" / "LATEST").read_text().strip()
        tables.add((tmp_path / "topk" / run / "part-00000.parquet").read_bytes())
    assert len(tables) == 1


def test_where_the_log_is_json_the_error_is_too(bundle: Bundle, home: Path) -> None:
    (home / "f").write_bytes(b"")
    ended = ncf(*_batch(bundle, "--seen"), "--log-format", "json", cwd=home)
    assert ended.code == 2
    assert json.loads(ended.err)["message"].startswith("ncf: f: the file is empty; ")
