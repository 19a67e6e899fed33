"""Hold real nights to the default gates, and the last of them spoiled in ways that are known.

    python -m benchmarks.gates --ratings data/raw/ml-100k/ml-100k.inter --model gmf

Each night trains on all ratings until its day, from scratch with a seed of its own, or from the
night before (``--warm``), and publishes a table. There is a line of figures for each night, with
the gates that failed. Then the items' ids, or the users', are permuted in the last table.
"""

import argparse
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ncf
from batch.gates import read_gates
from batch.judging import Candidate, Verdict, judge
from batch.manifest import FileCounts
from batch.reading import Published, published
from batch.runs import open_runs
from ncf.scoring.bundle import Bundle, open_bundle
from tests.batch.written import Listed, Table, write_run

_SPOILED = "20991231T000000Z-{:08d}"
_SECONDS_A_DAY = 86_400


def main() -> None:
    """Publish the nights, then spoil the last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ratings", type=Path, required=True, help="with timestamps")
    parser.add_argument("--model", default="gmf")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--days", type=int, default=1, help="from one night to the next")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("gated-nights"), help="all goes here")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    shutil.rmtree(given.work, ignore_errors=True)
    given.work.mkdir(parents=True)
    gates = given.work / "gates.toml"
    gates.write_text(ncf.default_gates())
    bundle = None
    for number, rows in enumerate(_nights(given.ratings, given.nights, given.days)):
        bundle = _night(given, number, rows)
        _print(f"night {number}", _judged(given.work / "topk", bundle, gates))
    if bundle is not None:
        _spoil(given.work / "topk", bundle, gates)


def _nights(ratings: Path, count: int, days: int) -> list[pd.DataFrame]:
    found = pd.read_csv(ratings, sep="\t", dtype=str)
    found.columns = ["user", "item", "rating", "timestamp"]
    times = found.timestamp.astype(np.int64)
    ends = [times.max() - each * days * _SECONDS_A_DAY for each in reversed(range(count))]
    return [found[times <= end] for end in ends]


def _night(given: argparse.Namespace, number: int, rows: pd.DataFrame) -> Bundle:
    work = given.work
    data = ncf.prepare(rows, out=work / f"data-{number}", split="leave-one-out", negatives=9)
    out, before = work / f"model-{number}", work / f"model-{number - 1}"
    if given.warm and number:
        model = ncf.train(data, out=out, warm_start=before)
    else:
        config = {"seed": number}
        model = ncf.train(data, given.model, out=out, recipe=given.recipe, config=config)
    bundle = ncf.export(model, data, out=work / "store", name=f"night-{number}")
    ncf.batch(bundle, out=work / "topk", mode="exact")
    return open_bundle(bundle.path)


def _judged(out: Path, bundle: Bundle, gates: Path) -> Verdict:
    """Judge the newest table against the one before."""
    runs = open_runs(out)
    names = sorted(runs.names(), key=lambda name: (runs.sequence(name), name))
    last = published(runs, names[-2]) if len(names) > 1 else None
    found = published(runs, names[-1])
    return _verdict(found, bundle, gates, last)


def _verdict(found: Published, bundle: Bundle, gates: Path, last: Published | None) -> Verdict:
    counts = FileCounts(unknown_users=found.manifest.unknown_users)
    candidate = Candidate(found.name, None, found.source, counts, found.manifest.inputs, bundle)
    return judge(read_gates(gates), candidate, last)


def _spoil(out: Path, bundle: Bundle, gates: Path) -> None:
    """Permute ids in the newest table, and judge it against itself as it was."""
    runs = open_runs(out)
    last = published(runs, runs.latest())
    table: Table = {}
    for user, rows in ncf.read_latest(out).groupby("user_id", sort=False):
        table[str(user)] = Listed(tuple(rows.item_id), tuple(rows.score))
    rng = np.random.default_rng(0)
    ids = list(bundle.items.raw)
    other = dict(zip(ids, rng.permutation(ids).tolist(), strict=True))
    items = {
        user: replace(each, items=tuple(other[item] for item in each.items))
        for user, each in table.items()
    }
    users = dict(zip(rng.permutation(list(table)).tolist(), table.values(), strict=True))
    for number, (what, spoiled) in enumerate({"items": items, "users": users}.items()):
        name = _SPOILED.format(number)
        write_run(out, name, spoiled, shard_users=10_000, sequence=10_000)
        _print(f"{what} permuted", _verdict(published(runs, name), bundle, gates, last))


def _print(what: str, verdict: Verdict) -> None:
    figures: dict[str, Any] = verdict.document["figures"]
    change, table = figures.get("change", {}), figures["table"]
    row: dict[str, Any] = {"what": what, "users": table["users"]}
    row |= {"top_percent_share": round(table["top_percent_share"], 3)}
    if change:
        row |= {"overlap.mean": round(change["overlap.mean"], 3)}
        row |= {name: round(figures["ratio"][name], 3) for name in ("users", "items")}
    print(json.dumps({**row, "failed": list(verdict.failures)}), flush=True)


if __name__ == "__main__":
    main()
