"""The commands on files as people have them: packed, piped, in parts, with names of their own."""

import gzip
import json
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncf as toolkit
from ncf.scoring.bundle import Bundle
from tests.commands import done, refused

HEADER = "user_id,item_id,rating,timestamp"
ROWS = [f"u{n % 5},i{n % 7},{1 + n % 5},{1000 + n}" for n in range(35)]
TEXT = "\n".join([HEADER, *ROWS]) + "\n"


def _prepared(home: Path, *words: object) -> dict[str, Any]:
    printed = done("data", "prepare", "--ratings", *words, "--out", "d", "--json", cwd=home)
    found: dict[str, Any] = json.loads(printed)
    return found


def _zip(home: Path) -> None:
    with zipfile.ZipFile(home / "r", "w") as archive:
        archive.writestr("ratings.csv", TEXT)


def _parts(home: Path) -> None:
    (home / "r").mkdir()
    (home / "r" / "_SUCCESS").touch()
    for number, rows in enumerate((ROWS[:20], ROWS[20:])):
        users, items, ratings, times = zip(*(row.split(",") for row in rows), strict=True)
        columns = {"userId": users, "movieId": items, "rating": map(float, ratings)}
        table = {name: pa.array(values) for name, values in columns.items()}
        table["timestamp"] = pa.array(map(int, times))
        pq.write_table(pa.table(table), home / "r" / f"part-{number:05}.parquet")


SOURCES: dict[str, Callable[[Path], object]] = {
    "plain": lambda home: (home / "r").write_text(TEXT),
    "zip": _zip,
    "gzip": lambda home: (home / "r").write_bytes(gzip.compress(TEXT.encode())),
    "a folder of Parquet parts": _parts,
    "spaces": lambda home: (home / "r").write_text(TEXT.replace(",", ", ")),
    "more columns": lambda home: (home / "r").write_text(
        "".join(f"x,{line}\n" for line in TEXT.splitlines())
    ),
}


@pytest.mark.parametrize("what", SOURCES)
def test_the_same_rows_give_the_same_parts_however_they_come(what: str, tmp_path: Path) -> None:
    SOURCES[what](tmp_path)
    found = _prepared(tmp_path, "r")
    assert (found["users"], found["items"], found["rows"]) == (5, 7, 35)
    assert found.get("trimmed_ids", 0) == (35 if what == "spaces" else 0)
    assert found.get("ignored_columns", 0) == (what == "more columns")
    assert pq.read_table(tmp_path / "d" / "items.parquet")["item_id"].to_pylist()[:2] == [
        "i0",
        "i1",
    ]


def test_a_pipe_gives_the_digests_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "r").write_text(TEXT)
    os.mkfifo(tmp_path / "r")
    writer = threading.Thread(target=lambda: (tmp_path / "r").write_text(TEXT), daemon=True)
    writer.start()
    piped = _prepared(tmp_path, "r")
    writer.join()
    assert piped == _prepared(tmp_path / "plain", "r")


def test_columns_are_named_on_the_command_line_and_in_python(tmp_path: Path) -> None:
    (tmp_path / "r").write_text(TEXT.replace(HEADER, "who,what,stars,when"))
    line = refused("data", "prepare", "--ratings", "r", "--out", "d", cwd=tmp_path)
    assert "name them: --columns user=…,item=…" in line
    words = ["r", "--columns", "user=who,item=what,timestamp=when"]
    found = _prepared(tmp_path, *words)
    assert (found["users"], found["order"]) == (5, "time")
    columns = {"user": "who", "item": "what", "timestamp": "when"}
    data = toolkit.prepare(tmp_path / "r", out=tmp_path / "p", columns=columns)
    assert data.digest == found["digest"]


def test_spaces_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "r").write_text(TEXT.replace(",", ", "))
    found = _prepared(tmp_path, "r", "--keep-spaces")
    assert "trimmed_ids" not in found
    items = pq.read_table(tmp_path / "d" / "items.parquet")["item_id"].to_pylist()
    assert items[0] == " i0"


def test_a_triple_is_known_by_its_prefix(tmp_path: Path) -> None:
    rows = "".join(f"u{n} \ti{m}\t5\t{m}\n" for n in range(3) for m in range(4))
    (tmp_path / "p.train.rating").write_text(rows)
    (tmp_path / "p.test.rating").write_text("u0\ti9\t5\t9\n")
    (tmp_path / "p.test.negative").write_text("(u0 , i9)\ti1\t i2\n")
    found = _prepared(tmp_path, "p", "--negatives", 1)
    assert (found["order"], found["users"], found["trimmed_ids"]) == ("given", 3, 12)


FILTERS = {
    "--seen": ("reviewerID , user, asin, note\nx,u1,film 1,\nx, u2 ,film 2,\n"),
    "--users": "userId,name\nu1, A\nu2 ,B\n",
    "--exclude-items": "title,movieId\nOne,film 1\n",
    "--candidates": "asin\nfilm 1\nfilm 2\n film 3\n",
}


def _batch(bundle: Bundle, home: Path, option: str, path: object) -> dict[str, Any]:
    words = ["batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", "--json"]
    found: dict[str, Any] = json.loads(done(*words, option, path, cwd=home))
    return found


@pytest.mark.parametrize("option", ["--users", "--exclude-items", "--candidates"])
def test_files_of_a_batch_know_the_names_that_ratings_know(
    option: str, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text(FILTERS[option])
    found = _batch(bundle, tmp_path, option, "f")
    assert found["unknown_users"] == 0
    assert found.get("exclude_items_unknown", found.get("candidates_unknown", 0)) == 0
    assert found["users"] == (2 if option == "--users" else bundle.n_users)


def test_a_batch_asks_where_two_columns_may_be_the_user(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(FILTERS["--seen"])
    line = refused("batch", "--bundle", bundle.path, "--seen", "f", cwd=tmp_path)
    assert "all match user_id" in line
    assert "--columns" in line


NAMED = {
    "text": ("who;what;note\nu1;film 1;x\nu2;film 2;y\n", "user=who,item=what"),
    "no header": ("film 1,u1\nfilm 2,u2\n", "user=2,item=1"),
}


@pytest.mark.parametrize("what", [*NAMED, "Parquet"])
def test_columns_of_a_batch_are_named_as_in_prepare(
    what: str, bundle: Bundle, tmp_path: Path
) -> None:
    content, columns = NAMED.get(what, ("", "user=who,item=what"))
    (tmp_path / "f").write_text(content)
    frame = pd.DataFrame({"who": ["u1", "u2"], "what": ["film 1", "film 2"]})
    if what == "Parquet":
        frame.to_parquet(tmp_path / "f")
    options = [word for name in ("users", "seen", "exclude-items") for word in (f"--{name}", "f")]
    words = ["batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", "--json"]
    found = json.loads(done(*words, *options, "--columns", columns, cwd=tmp_path))
    assert (found["users"], found["unknown_users"], found["seen_rows"]) == (2, 0, 2)
    assert found.get("exclude_items_unknown", 0) == 0
    # The run knows the names, so that its proof needs none.
    done("verify", "--run", found["table"], "--bundle", bundle.path, *options, cwd=tmp_path)
    filters: dict[str, Any] = {"users": frame, "seen": frame, "exclude_items": frame["what"]}
    mapping = {"user": "who", "item": "what"}
    run = toolkit.batch(
        bundle.path, out=tmp_path / "py", k=3, device="cpu", columns=mapping, **filters
    )
    assert run.frame().equals(toolkit.read_latest(tmp_path / "topk"))
    toolkit.verify(bundle.path, run=run, columns=mapping, **filters)


def test_a_name_that_a_batchs_file_lacks_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("user_id,who\nu1,x\n")
    words = ["batch", "--bundle", bundle.path, "--users", "f", "--columns", "user=whom"]
    line = refused(*words, cwd=tmp_path)
    assert "no columns are called 'whom' among 'user_id', 'who'" in line


@pytest.mark.parametrize("option", ["--seen", "--users"])
def test_a_batch_reads_folders_of_parts_and_pipes(
    option: str, bundle: Bundle, tmp_path: Path
) -> None:
    table = pa.table({"user": ["u1", "u2"], "item": ["film 1", "film 2"], "n": [1, 2]})
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "_SUCCESS").touch()
    for number in range(2):
        pq.write_table(table.slice(number, 1), tmp_path / "parts" / f"part-{number}.parquet")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=lambda: (tmp_path / "pipe").write_text("user,item\nu1,film 1\nu2,film 2\n"),
        daemon=True,
    )
    writer.start()
    ran = [_batch(bundle, tmp_path, option, each) for each in ("parts", "pipe")]
    writer.join()
    for found in ran:
        assert found["users"] == (2 if option == "--users" else bundle.n_users)
        assert found.get("seen_rows", 2) == 2
        assert found["unknown_users"] == 0
    words = ["verify", "--run", ran[0]["table"], "--bundle", bundle.path, option]
    done(*words, "parts", cwd=tmp_path)
    (tmp_path / "parts" / "part-1.parquet").unlink()
    assert f"was not run with this {option}" in refused(*words, "parts", cwd=tmp_path)


def test_a_batch_keeps_spaces_where_that_is_asked_for(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(FILTERS["--users"])
    words = ["batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", "--json"]
    words += ["--users", "f", "--keep-spaces"]
    found = json.loads(done(*words, cwd=tmp_path))
    assert found["unknown_users"] == 1  # 'u2 '
    words = ["verify", "--run", found["table"], "--bundle", bundle.path, "--users", "f"]
    done(*words, cwd=tmp_path)
