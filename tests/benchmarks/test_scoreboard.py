"""The scoreboard's page says what the commands gave."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ncf
from benchmarks import scoreboard
from benchmarks.scoreboard_page import Board, Trained, page, verdict
from tests.api.conftest import QUICK


def _board(data_folder: Path, folder: Path) -> Board:
    """A network, called the default one, and two simple models, for two seeds."""
    documents: list[Any] = []
    simple = [ncf.train(data_folder, name, out=folder / name) for name in ("popular", "ease")]
    for seed in range(2):
        config = {**QUICK, "seed": seed}
        gmf = ncf.train(data_folder, "gmf", out=folder / f"{seed}", config=config, refit=False)
        document = ncf.compare([gmf, *simple], data_folder, k=5).document
        document["models"][0]["variant"] = "neumf-pre"
        documents.append(document)
    took = {"gmf": 10, "mlp": 20, "neumf-pre": 3, "popular": 1, "ease": 2}
    trained = tuple(
        Trained(name, 0, f"{name}-0", ("train", "--model", name), seconds, 1.5)
        for name, seconds in took.items()
    )
    prepare, compare = ("data", "prepare", "--out", "x"), ("compare", "gmf-0", "-k", "5")
    return Board("tiny", "Tiny", prepare, trained, tuple(documents), compare, 420.0)


def test_every_figure_of_the_page_is_that_of_a_comparison(
    data_folder: Path, tmp_path: Path
) -> None:
    board = _board(data_folder, tmp_path)
    text = page([board])
    rows = {
        cells[0]: cells
        for line in text.splitlines()
        if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) > 5
    }
    for number, model in enumerate(board.comparisons[0]["models"]):
        sampled = [each["protocols"]["sampled"]["ndcg"][number] for each in board.comparisons]
        cells = rows[model["variant"]]
        assert cells[1].startswith(f"{sum(sampled) / 2:.4f}")
        low, high = model["ndcg"]["interval"]
        assert f"{low:.4f} to {high:.4f}" in cells
    assert rows["neumf-pre"][-2] == "33", "its parents' seconds count"
    assert rows["neumf-pre"][5] == "", "the reference has no difference to itself"
    assert rows["ease"][5] != ""
    assert "ncf data prepare --out x" in text
    assert "ncf train --model ease" in text
    assert "ncf compare gmf-0 -k 5" in text
    assert "took 7 minutes" in text
    assert text.count("Seed ") == 2
    assert json.loads(json.dumps(board.comparisons[0]))["simple"]["figure"] == "ndcg"


def test_a_data_set_that_is_run_leaves_the_sections_of_others(
    data_folder: Path, tmp_path: Path
) -> None:
    board = _board(data_folder, tmp_path)
    others = [replace(board, title=title) for title in ("First", "Tiny", "Last")]
    before = page(others, "an old run")
    after = page([replace(board, seconds=60.0)], before=before)
    first, tiny, last = (after.split(f"## {each.title}\n")[1].split("## ")[0] for each in others)
    assert "took 1 minutes on " in tiny
    assert "an old run" not in tiny
    for kept, title in ((first, "First"), (last, "Last")):
        assert kept == before.split(f"## {title}\n")[1].split("## ")[0]
        assert "an old run" in kept
    assert page([], before=after) == after
    assert page([replace(board, title="New")], before=after).startswith(after)


@pytest.mark.parametrize(
    ("winner", "said"),
    [
        ("simple", "**a simple model wins**: ease"),
        ("network", "a network wins"),
        (None, "no winner"),
    ],
)
def test_the_verdict_is_plain(winner: str | None, said: str) -> None:
    comparison = {
        "protocol": "sampled",
        "models": [{"variant": "gmf"}, {"variant": "ease"}],
        "simple": {"simple": 1, "network": 0, "difference": 0.1, "interval": (0.05, 0.2)},
        "protocols": {"sampled": {"best": 1}, "full": {"best": 0}, "agree": False},
    }
    comparison["simple"] = {**comparison["simple"], "winner": winner}  # type: ignore[dict-item]
    line = verdict(3, comparison)
    assert line.startswith("Seed 3: ")
    assert said in line
    assert "NDCG +0.1000 (+0.0500 to +0.2000, sampled)" in line
    assert "disagree on the best model (ease by sampled, gmf by full)" in line


def test_a_command_that_ran_is_not_run_again_and_a_failure_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "help.json"
    first = scoreboard.run(("--help",), tmp_path, note)
    assert float(str(first["seconds"])) > 0
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("again"))
    assert scoreboard.run(("--help",), tmp_path, note) == first
    monkeypatch.undo()
    note.write_text('{"seconds": 0, "out": ""}')  # of an older version
    assert scoreboard.run(("--help",), tmp_path, note)["out"] == first["out"]
    with pytest.raises(SystemExit, match="checkpoint"):
        scoreboard.run(("evaluate", "--checkpoint", "a", "--data", "b"), tmp_path, tmp_path / "n")


def test_seconds_in_which_commands_ran_side_by_side_count_once(tmp_path: Path) -> None:
    for number, (began, seconds) in enumerate([(10.0, 4.0), (12.0, 5.0), (13.0, 1.0), (30.0, 2.0)]):
        note = {"began": began, "seconds": seconds}
        (tmp_path / f"{number}.json").write_text(json.dumps(note))
    assert scoreboard.busy(tmp_path) == 9.0
