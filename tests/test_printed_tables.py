"""Tables that commands print: every id whole, whatever the width, and rows for programs."""

import csv
import hashlib
import io
import json
import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console

import ncf
from ncf.cli import output
from ncf.cli.output import show_table
from tests.commands import ncf as command
from tests.commands import refused

UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "u"))
SHA = hashlib.sha256(b"i").hexdigest()
ROWS = [(1, SHA, "A long title of a product in a shop", 1.23456), (2, UUID, None, float("nan"))]
NAMES = ("rank", "item", "title", "score")


def printed(
    monkeypatch: pytest.MonkeyPatch, width: int | None, rows: Iterable[Iterable[object]] = ROWS
) -> str:
    """What a terminal of this width shows, or a pipe gets."""
    text = io.StringIO()

    def console(**options: object) -> Console:
        return Console(
            file=text,
            width=width or 80,
            force_terminal=width is not None,
            color_system=None,
            **options,  # type: ignore[arg-type]
        )

    monkeypatch.setattr(output, "Console", console)
    show_table(NAMES, rows)
    return text.getvalue()


def test_a_pipe_gets_plain_columns_one_row_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, None).splitlines()
    assert lines[0].split() == list(NAMES)
    assert lines[1].split() == ["1", SHA, *str(ROWS[0][2]).split(), "1.2346"]
    assert lines[2].split() == ["2", UUID]
    assert {line.index(word) for line, word in zip(lines, ("item", SHA, UUID), strict=True)} == {6}


@pytest.mark.parametrize("width", [200, 80, 60, 48])
def test_a_terminal_folds_ids_and_never_cuts_them(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(monkeypatch, width)
    assert "…" not in text
    rows = [line.split("│") for line in text.splitlines() if "│" in line]
    joined = "".join(row[2].strip() for row in rows)
    assert joined == SHA + UUID
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [47, 20, 1])
def test_a_terminal_too_narrow_for_a_table_gets_plain_columns(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(monkeypatch, width)
    assert SHA in text
    assert UUID in text


def test_wide_letters_keep_columns_straight_and_nothing_moves_the_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [(1, "映画", "x", 1.0), (2, "a\x1b[2Jb\nc", "y", 2.0)]
    lines = printed(monkeypatch, None, rows).splitlines()
    assert "a\\x1b[2Jb\\nc" in lines[2]
    assert len(lines) == 3
    assert lines[1].index("x") + 2 == lines[2].index("y")  # two letters of two columns each


@pytest.fixture(scope="module")
def home(ratings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world under ids as long as shops have them, up to the table."""
    folder = tmp_path_factory.mktemp("long")
    head, *lines = ratings_file.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    long = [",".join([_uuid(user), _uuid(item), *rest]) for user, item, *rest in rows]
    (folder / "ratings.csv").write_text("\n".join([head, *long]) + "\n")
    data = ncf.prepare(folder / "ratings.csv", out=folder / "data", negatives=5)
    quick = {"factors": 4, "schedule": {"epochs": 1}}
    model = ncf.train(data, "gmf", out=folder / "gmf", config=quick)
    bundle = ncf.export(model, data, out=folder / "store", name="ncf")
    ncf.batch(bundle, out=folder / "topk", k=3)
    return folder


def _uuid(raw: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, raw))


def test_piped_commands_print_whole_ids(home: Path) -> None:
    user = ("--user", _uuid("u3"))
    listed = command("recommend", "--bundle", "store/ncf", *user, "-k", 3, "--json", cwd=home).out
    ids = [each["item"] for each in json.loads(listed)["items"]]
    for words in (
        ("recommend", "--bundle", "store/ncf", *user, "-k", 3),
        ("batch", "show", "--out", "topk", *user),
    ):
        out = command(*words, cwd=home).out
        assert "…" not in out
        assert all(each in out for each in ids)
    alike = command("similar", "--bundle", "store/ncf", "--item", ids[0], "-k", 2, cwd=home).out
    assert sum(len(word) == 36 for word in alike.split()) == 2


def test_csv_gives_rows_as_programs_read_them(home: Path) -> None:
    user = _uuid("u3")

    def rows(*words: object) -> list[dict[str, str]]:
        ended = command(*words, "--csv", cwd=home)
        assert ended.code == 0, ended
        return list(csv.DictReader(io.StringIO(ended.out)))

    shown = rows("batch", "show", "--out", "topk", "--user", user)
    names = ["user_id", "rank", "item_id", "score", "policy"]
    assert list(shown[0]) == names
    table = ncf.read_latest(home / "topk")
    mine = table[table.user_id == user]
    assert [row["item_id"] for row in shown] == mine.item_id.tolist()
    assert [float(row["score"]) for row in shown] == mine.score.tolist()
    listed = rows("recommend", "--bundle", "store/ncf", "--user", user, "-k", 3)
    assert list(listed[0]) == ["user_id", "rank", "item_id", "title", "score", "policy"]
    assert [row["item_id"] for row in listed] == mine.item_id.tolist()
    stranger = rows("recommend", "--bundle", "store/ncf", "--user", "zoe", "-k", 3)
    assert [(row["score"], row["policy"]) for row in stranger] == [("", "popular")] * 3
    alike = rows("similar", "--bundle", "store/ncf", "--item", shown[0]["item_id"], "-k", 2)
    assert list(alike[0]) == ["rank", "item_id", "title", "similarity"]
    figures = rows("evaluate", "--checkpoint", "gmf", "--data", "data", "-k", 1, "-k", 3)
    assert [row["k"] for row in figures] == ["1", "3"]
    models = rows("compare", "gmf", "gmf", "--data", "data", "-k", 3)
    assert [row["checkpoint"] for row in models] == ["gmf", "gmf"]


@pytest.mark.parametrize(
    "words",
    [
        "recommend --bundle store/ncf --user x",
        "similar --bundle store/ncf --item x",
        "batch show --out topk --user x",
        "evaluate --checkpoint gmf --data data",
        "compare gmf --data data",
    ],
)
def test_two_forms_at_once_are_refused(words: str, home: Path) -> None:
    line = refused(*words.split(), "--json", "--csv", cwd=home)
    assert "JSON and CSV exclude each other; give --json or --csv" in line
