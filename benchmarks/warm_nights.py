"""A chain of warm starts, beside trainings from scratch: quality, seconds, how far lists move.

    python -m benchmarks.warm_nights --data data/ml-1m-positive --model gmf

The training part of the data is cut into nights: each night brings 4 % more pairs, and a fiftieth
of the users comes in. Night 0 is trained from scratch; each further night starts from the one
before. The last night has all pairs, and is trained from scratch too, with two seeds. Figures are
NDCG@10 of the whole test part, which no night was trained on; there is one JSON object a line.
"""

import argparse
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ncf
from benchmarks.held_out import Mask, written
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData, open_data

_MORE, _JOINING = 1.04, 50  # pairs a night; one of so many users


def main() -> None:
    """Train the chain, and compare its end with trainings from scratch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="gmf")
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("warm-nights"), help="all goes here")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # each night of these warns that validation pairs were drawn
    data, place = open_data(given.data), given.work / given.data.name
    shutil.rmtree(place, ignore_errors=True)
    came = nights_of(data, given.nights)
    folders = [_night(data, place / f"night-{n}", came <= n) for n in range(given.nights)]
    folders.append(given.data)
    chain = _trained("night 0, from scratch", folders[0], place / "model-0", given.model)
    for number, folder in enumerate(folders[1:], 1):
        chain = _trained(f"night {number}, warm", folder, place / f"model-{number}", chain)
    ends = [chain]
    for seed in (0, 1):
        out = place / f"scratch-{seed}"
        ends.append(_trained(f"from scratch, seed {seed}", given.data, out, given.model, seed=seed))
    for each in ends:
        _judge(each, given.data)
    common = ncf.compare(ends, given.data).document["overlap"]["common"]
    print(json.dumps({"overlap": {"chain and scratch": common[0][1], "two seeds": common[1][2]}}))


def nights_of(data: PreparedData, nights: int) -> npt.NDArray[np.int64]:
    """Draw the night, from 0, in which each training pair comes."""
    rng = np.random.default_rng(0)
    shares = _MORE ** np.arange(nights + 1)
    edges = np.round(shares / shares[-1] * len(data.train)).astype(np.int64)
    night = np.empty(len(data.train), np.int64)
    night[rng.permutation(len(data.train))] = np.searchsorted(
        edges, np.arange(len(data.train)), side="right"
    )
    joined = np.zeros(len(data.users), np.int64)
    late = rng.permutation(len(data.users))
    each = len(data.users) // _JOINING
    for number in range(1, nights + 1):
        joined[late[(number - 1) * each : number * each]] = number
    return np.maximum(night, joined[data.train.users])


def _night(data: PreparedData, folder: Path, rows: Mask) -> Path:
    here = np.zeros(len(data.users), np.bool_)
    here[data.train.users[rows]] = True

    def kept(pairs: Interactions) -> Mask:
        return np.asarray(here[pairs.users], np.bool_)

    written(data, folder, rows, kept)
    return folder


def _trained(
    what: str,
    folder: Path,
    out: Path,
    begins: "str | ncf.Model",
    *,
    seed: int = 0,
) -> "ncf.Model":
    """Train a variant from scratch, or start from a model; print what it came to."""
    started = time.perf_counter()
    if isinstance(begins, str):
        found = ncf.train(folder, begins, out=out, config={"seed": seed}, refit=False)
    else:
        found = ncf.train(folder, out=out, warm_start=begins, refit=False)
    row: dict[str, Any] = {"trained": what, "s": round(time.perf_counter() - started, 1)}
    warm = found.figures["warm"]
    if warm is not None:
        row |= {"generation": warm["generation"], "overlap_with_the_night_before": warm["overlap"]}
        row |= {"new_users": warm["users"]["new"]}
    print(json.dumps(row), flush=True)
    return found


def _judge(found: "ncf.Model", folder: Path) -> None:
    row: dict[str, Any] = {"judged": found.path.name}
    for protocol in ("sampled", "full"):
        figures = ncf.evaluate(found, folder, protocol=protocol).document["metrics"][0]
        row[f"{protocol}_ndcg"] = round(figures["ndcg"], 4)
        row[f"{protocol}_ndcg_se"] = round(figures["ndcg_se"], 4)
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
