"""Lay out ``docs/scoreboard.md`` from what the commands gave."""

import os
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

INTRO = """\
# Scoreboard

`make scoreboard` writes this page. It trains the four networks and four
[simple models](baselines.md) by their default recipes and settings, and compares them on the test
part, which no choice ever sees. Whoever wins, wins. The sampled protocol ranks a test item against
99 sampled ones, the full protocol against all unseen items; [evaluation.md](evaluation.md) has the
definitions.

A figure is the mean over seeds of the training, ± the standard deviation over these where there are
several; the data is split once, and iALS has the settings that were chosen with seed 0. The
interval is at 95 %, over users, for seed 0. "Minus neumf-pre" is the paired difference to the
default network, seed 0, with its interval: where it does not include 0, the two differ on these
users. All commands run in `.scoreboard`, as many side by side as there are cores, and trainings
with one thread each. Seconds are those of `ncf train` with seed 0: the start of Python, the choice
of settings on validation, and the parents of neumf-pre are included; the refit is not. Other
programs disturb CPU seconds less.

All of it takes about 150 CPU minutes on cores that multiply matrices at 108 GFLOPS each, 76 minutes
on two of them, and twice that on cores of half the speed: more than the hour that it was meant to
take. Most of it is arithmetic of GMF, and of towers that rank whole catalogues, on the sparse sets.
By the seconds below, `python -m benchmarks.scoreboard --seeds 1` takes 60 CPU minutes.

Data that is not here (He et al.'s MovieLens 1M, Pinterest-20) is read by `ncf data prepare --format
ncf --ratings PREFIX` for those who have the authors' files, and `ncf compare CHECKPOINT --data DIR
--baselines` makes such a comparison on any data.
"""


@dataclass(frozen=True)
class Trained:
    """A model that was trained: its command, and what it took."""

    model: str
    seed: int
    place: str
    words: tuple[str, ...]
    seconds: object
    cpu: object
    error: object = ""


@dataclass(frozen=True)
class Board:
    """The results of one data set, with the document of ``ncf compare --json`` for each seed.

    ``compare`` has the words of the first comparison, and ``seconds`` what all commands took.
    """

    name: str
    title: str
    prepare: tuple[str, ...]
    trained: tuple[Trained, ...]
    comparisons: tuple[Mapping[str, Any], ...]
    compare: tuple[str, ...]
    seconds: float


def page(boards: Sequence[Board], note: str = "", before: str = "") -> str:
    """Write the page: the sections of these data sets anew, others as they were.

    Parameters
    ----------
    boards : sequence of Board
        Results of the data sets that were run.
    note : str
        What was special about the run.
    before : str
        The page as it was, whose other sections are kept, in their places.
    """
    found = {f"## {board.title}": _section(board, note) for board in boards}
    kept = {each.partition("\n")[0]: each for each in re.split(r"(?m)^(?=## )", before)[1:]}
    return "\n".join([INTRO, *(each.rstrip("\n") + "\n" for each in (kept | found).values())])


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({named[0] if named else platform.machine()})"


def _section(board: Board, note: str) -> str:
    first = board.comparisons[0]
    k, protocols = first["k"], [name for name in first["protocols"] if name != "agree"]
    seeds = len(board.comparisons)
    rows = [_row(board, model, protocols) for model in _models(board)]
    heads = ["model", *(f"NDCG@{k}, {name}" for name in protocols)]
    heads += [f"HR@{k}, {first['protocol']}", "NDCG interval", "minus neumf-pre"]
    heads += ["seconds", "CPU seconds"]
    table = [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]
    said = [verdict(number, each) for number, each in enumerate(board.comparisons)]
    left_out = [f"{each.model} is left out: {each.error}" for each in board.trained if each.error]
    commands = [each.words for each in board.trained if each.seed == 0]
    listed = dict.fromkeys([board.prepare, *commands, board.compare])
    return "\n".join(
        [
            f"## {board.title}",
            "",
            f"{first['cases']:,} cases of {first['users']:,} users; seeds of training: {seeds}. "
            f"All commands together took {board.seconds / 60:.0f} minutes on {_machine()}; "
            f"{datetime.now(UTC):%Y-%m-%d}.",
            "",
            *([note, ""] if note else []),
            *table,
            "",
            *(f"- {each}" for each in [*said, *dict.fromkeys(left_out)]),
            "",
            "<!-- not run: minutes to hours of training; 'make scoreboard' runs these -->",
            "```sh",
            "printf 'seed = 0\\n' > seed0.toml",
            *(f"ncf {shlex.join(words)}" for words in listed),
            "```",
            "",
        ]
    )


def verdict(seed: int, comparison: Mapping[str, Any]) -> str:
    """Say in a sentence who wins with one seed, and whether the protocols agree."""
    found, both = comparison["simple"], comparison["protocols"]
    variants = [model["variant"] for model in comparison["models"]]
    simple, network = variants[found["simple"]], variants[found["network"]]
    low, high = found["interval"]
    numbers = (
        f"NDCG {found['difference']:+.4f} ({low:+.4f} to {high:+.4f}, {comparison['protocol']})"
    )
    said = {
        "simple": f"**a simple model wins**: {simple} against {network}, {numbers}",
        "network": f"a network wins: the best simple model, {simple}, against {network}, {numbers}",
        None: f"no winner: {simple} against {network}, {numbers}",
    }[found["winner"]]
    if not both["agree"]:
        best = ", ".join(
            f"{variants[both[name]['best']]} by {name}" for name in both if name != "agree"
        )
        said += f"; the protocols disagree on the best model ({best})"
    return f"Seed {seed}: {said}."


def _models(board: Board) -> list[str]:
    return [model["variant"] for model in board.comparisons[0]["models"]]


def _row(board: Board, model: str, protocols: Sequence[str]) -> list[str]:
    at = _models(board).index(model)
    own = board.comparisons[0]["models"][at]
    alone = next(each for each in board.trained if each.model == model and not each.seed)
    extra = [each for each in board.trained if each.model in {"gmf", "mlp"} and not each.seed]
    parts = [alone, *(extra if model == "neumf-pre" else [])]
    cells = [
        _spread([each["protocols"][name]["ndcg"][at] for each in board.comparisons])
        for name in protocols
    ]
    hr = _spread([each["models"][at]["hr"]["mean"] for each in board.comparisons])
    low, high = own["ndcg"]["interval"]
    seconds = sum(float(str(each.seconds)) for each in parts)
    cpu = sum(float(str(each.cpu)) for each in parts)
    against = ""
    if own["ndcg"]["difference"] is not None:
        least, most = own["ndcg"]["difference_interval"]
        against = f"{own['ndcg']['difference']:+.4f} ({least:+.4f} to {most:+.4f})"
    took = ("" if np.isnan(each) else f"{each:.0f}" for each in (seconds, cpu))
    return [model, *cells, hr, f"{low:.4f} to {high:.4f}", against, *took]


def _spread(values: Sequence[float]) -> str:
    mean, apart = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{mean:.4f} ± {apart:.4f}" if apart > 5e-5 else f"{mean:.4f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
