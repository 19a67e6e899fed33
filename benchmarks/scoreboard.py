"""Train networks and simple models on public data, and write ``docs/scoreboard.md``.

``python -m benchmarks.scoreboard`` (``make scoreboard``) runs the commands that it shows, each as
a process of its own on one core, as many side by side as there are cores, in ``.scoreboard``. What
is done there is not done again, so an interrupted run goes on. Data of ``../shared/data`` is taken
where it is at hand; MovieLens 100K is fetched.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from benchmarks.scoreboard_page import Board, Trained, page
from ncf.devices import usable_cores

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
WORK = ROOT / ".scoreboard"
NETWORKS = ("gmf", "mlp", "neumf-end", "neumf-pre")
SIMPLE = ("popular", "item-knn", "ease", "ials")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WITHOUT_SEED = ("popular", "item-knn", "ease")  # nothing in them is random


@dataclass(frozen=True)
class World:
    """A data set of the board: its title, and the words that prepare it and that compare on it."""

    title: str
    prepare: tuple[str, ...]
    file: Path | None = None
    compare: tuple[str, ...] = ("-k", "10")

    @property
    def at_hand(self) -> bool:
        """Whether its file is here, or can be fetched."""
        return self.file is None or self.file.exists()


def _shared(title: str, name: str, *options: str) -> World:
    path = SHARED / name
    return World(title, ("--ratings", os.path.relpath(path, WORK), *options), path)


def _given(title: str, name: str, *compare: str) -> World:
    world = _shared(f"{title}, given split", name, "--split", "given")
    return replace(world, compare=("-k", "20", *compare))


WORLDS = {
    "ml-100k": World(
        "MovieLens 100K, leave one out by time",
        (*("--dataset", "ml-100k", "--cache", "../data/raw"), "--split", "leave-one-out"),
    ),
    "ml-1m-positive": _shared(
        "MovieLens 1M, ratings of 4 and above, random split",
        "ml-1m-positive.csv.gz",
        *("--split", "random", "--negatives-exclude", "train"),
    ),
    "citeulike": _given("CiteULike", "citeulike.csv.gz"),
    # A tower takes ten minutes to rank for all 47,000 users.
    "amazon-beauty": _given("Amazon Beauty", "amazon-beauty.csv.gz", "--max-users", "5000"),
}


def main() -> None:
    """Run what is not done yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    only = "Data set; repeatable. The page keeps its sections of others."
    parser.add_argument("--only", choices=WORLDS, action="append", help=only)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "scoreboard.md")
    parser.add_argument("--note", default="", help="What was special about this run.")
    given = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    for seed in range(given.seeds):
        (WORK / f"seed{seed}.toml").write_text(f"seed = {seed}\n")
    boards: list[Board] = []
    before = given.page.read_text(encoding="utf-8") if given.page.exists() else ""
    for name in given.only or WORLDS:
        if WORLDS[name].at_hand:
            boards.append(board(name, WORK, given.seeds))
            given.page.write_text(page(boards, given.note, before), encoding="utf-8")
        else:
            print(f"{name}: not at hand ({WORLDS[name].file})", flush=True)
    print(given.page)


def board(name: str, work: Path, seeds: int) -> Board:
    """Prepare a data set, train all models, and compare them once for each seed."""
    world, folder = WORLDS[name], work / name
    prepare = ("data", "prepare", *world.prepare, "--out", f"{name}/data")
    run(prepare, work, folder / "data.json")
    every = range(seeds)
    alone = [(model, seed) for seed in every for model in ("mlp", "gmf", "neumf-end")]
    alone = [*alone, ("ease", 0), ("ials", 0), ("item-knn", 0), ("popular", 0)]
    after = [(model, seed) for seed in every for model in ("neumf-pre", "ials")]
    found: dict[tuple[str, int], Trained] = {}
    with ThreadPoolExecutor(usable_cores()) as lanes:
        for asked in (alone, [each for each in after if each not in alone]):
            trained = lanes.map(lambda each: train(name, each[0], each[1], work), asked)
            found |= dict(zip(asked, trained, strict=True))
        models = [
            [found[model, 0 if model in WITHOUT_SEED else seed] for model in (*NETWORKS, *SIMPLE)]
            for seed in every
        ]
        words = [compare_words(world, name, each) for each in models]
        notes = [folder / f"compare{seed}.json" for seed in every]
        said = lanes.map(lambda each: run(each[0], work, each[1]), zip(words, notes, strict=True))
        comparisons = tuple(json.loads(str(each["out"])) for each in said)
    flat = tuple(each for own in models for each in own)
    return Board(name, world.title, prepare, flat, comparisons, words[0], busy(folder))


def busy(folder: Path) -> float:
    """Count the seconds in which at least one of a data set's commands ran."""
    spans = sorted(
        (found["began"], found["began"] + found["seconds"])
        for found in (json.loads(path.read_text()) for path in folder.glob("*.json"))
    )
    total, until = 0.0, 0.0
    for began, ended in spans:
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def compare_words(world: World, name: str, models: Sequence[Trained]) -> tuple[str, ...]:
    """Compare all that were trained, the default network first: differences are to it."""
    places = [each.place for each in models if not each.error]
    places.sort(key=lambda place: "neumf-pre" not in place)
    return ("compare", *places, "--data", f"{name}/data", *world.compare, "--json")


def train(name: str, model: str, seed: int, work: Path) -> Trained:
    """Train a model with a seed."""
    place = f"{name}/{model}-{seed}"
    words = ["train", "--data", f"{name}/data", "--model", model, "--out", place, "--no-refit"]
    if model not in WITHOUT_SEED:
        words += ["--config", config_of(name, model, seed, work)]
    if model == "neumf-pre":
        words += ["--gmf", f"{name}/gmf-{seed}", "--mlp", f"{name}/mlp-{seed}"]
    found = run(tuple(words), work, work / f"{place}.json")
    return Trained(
        model, seed, place, tuple(words), *(found[key] for key in ("seconds", "cpu", "err"))
    )


def config_of(name: str, model: str, seed: int, work: Path) -> str:
    """Name the file of the seed; iALS takes the settings that were chosen with seed 0, too."""
    if model != "ials" or not seed:
        return f"seed{seed}.toml"
    found = json.loads((work / name / "ials-0" / "config.json").read_text())["recipe"]
    chosen = {key: found[key] for key in ("unseen", "l2", "factors")}
    path = work / name / f"ials{seed}.toml"
    lines = [f"{key} = {value}" for key, value in {**chosen, "seed": seed}.items()]
    path.write_text("\n".join(lines) + "\n")
    return str(path.relative_to(work))


def run(words: tuple[str, ...], work: Path, note: Path) -> dict[str, object]:
    """Run a command in the work folder, or read what it said when it ran before."""
    found: dict[str, object] = json.loads(note.read_text()) if note.exists() else {}
    if "began" in found:  # those of older versions were made with more threads
        return found
    print("ncf " + shlex.join(words), flush=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    began, started = time.time(), time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [sys.executable, "-m", "ncf", *words]
        # Not waited for by subprocess: the use of this child alone is asked for.
        process = subprocess.Popen(command, cwd=work, stdout=out, stderr=err, env=_one_core())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        said, problems = _read(out), _read(err)
    last = problems.strip().splitlines()[-1:] if process.returncode else []
    if process.returncode and "EASE needs" not in problems:
        sys.exit(problems)
    cpu = usage.ru_utime + usage.ru_stime
    found = {"began": began, "seconds": seconds, "cpu": cpu, "out": said, "err": " ".join(last)}
    note.write_text(json.dumps(found))
    return found


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _one_core() -> dict[str, str]:
    """Have a command compute with one thread, as others run on the other cores."""
    return os.environ | dict.fromkeys(_THREADS, "1")


if __name__ == "__main__":
    main()
