"""Fold in users whom no training knew: quality beside trained rows and peers, and the promise.

    python -m benchmarks.strangers --data data/ml-1m-positive --model gmf
    python -m benchmarks.strangers --data data/ml-100k --model neumf-pre --strangers 100000

A tenth of the users is left out of a second training, and folded in from random parts of their
training histories; the rows of the first training, which knew them, are the measure. Figures are
NDCG@10 of their test items, sampled and over the whole catalogue, for the same candidates: all of
a user's training and validation items are left out, also where the history is shorter. A third
training leaves out users' last two interactions, and refreshes their rows by these; a fourth
leaves out a tenth of the items, which are then added from those who took them.
Checkpoints that are there already are taken as they are.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

import ncf
from benchmarks.held_out import Mask, a_tenth, without, without_last
from benchmarks.stranger_batch import time_batches
from benchmarks.stranger_growth import added_items, refreshed
from benchmarks.stranger_peers import ease, item_cosine
from export.fold_in.row_scores import RowScores
from export.publish import publish
from export.source import Source
from ncf.data.prepared import PreparedData, open_data
from ncf.evaluation.full_ranking import Panel
from ncf.evaluation.lists import hits, worth
from ncf.evaluation.metrics import gains, mean_and_error, pessimistic_ranks
from ncf.evaluation.metrics import hits as hit_ratio
from ncf.graphs.fold_in import features, item_vectors
from ncf.graphs.fold_in_fit import normal_equations, shortened
from ncf.graphs.topk import user_rows
from ncf.models.weights import Weights
from ncf.scoring.bundle import open_bundle
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.training.checkpoint import open_checkpoint

Floats = npt.NDArray[np.float32]
LENGTHS = (1, 3, 10, None)
_K, _LAST = 10, 2


def main() -> None:
    """Measure, and print one JSON object a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="gmf")
    parser.add_argument("--work", type=Path, default=Path("strangers"), help="trainings go here")
    parser.add_argument("--strangers", type=int, default=0, help="time a batch of so many")
    parser.add_argument("--skip-more", action="store_true", help="no third and fourth training")
    given = parser.parse_args()
    data = open_data(given.data)
    nobody, nothing = (np.zeros(len(ids), np.bool_) for ids in (data.users, data.items))
    left_out = a_tenth(len(data.users))
    place = given.work / given.data.name
    known = _weights(data, given.data, place / f"{given.model}-whole", given.model)
    honest_data = _held_out(data, place / "data-users", left_out, nothing)
    honest = _weights(
        honest_data, place / "data-users", place / f"{given.model}-users", given.model
    )
    judge = Judge(data, np.flatnonzero(left_out & data.trained()))
    for row in judge.table(known, honest, data.train.csr(), left_out):
        print(json.dumps(row), flush=True)
    for row in promised(place, given.model, honest_data, judge):
        print(json.dumps(row), flush=True)
    if not given.skip_more:
        before = place / "data-last"
        earlier = open_data(before) if before.is_dir() else without_last(data, before, _LAST)
        stale = _weights(earlier, before, place / f"{given.model}-last", given.model)
        print(json.dumps(refreshed(data, earlier, stale)), flush=True)
        new = a_tenth(len(data.items), 1)
        old_data = _held_out(data, place / "data-items", nobody, new)
        old = _weights(old_data, place / "data-items", place / f"{given.model}-items", given.model)
        print(json.dumps(added_items(data, known, old, new)), flush=True)
    if given.strangers:
        source = Source(open_checkpoint(place / f"{given.model}-whole"), data)
        publish(source, place / "store", "ncf")
        for row in time_batches(place / "store" / "ncf", data, given.strangers, place):
            print(json.dumps(row), flush=True)


def _held_out(data: PreparedData, folder: Path, users: Mask, items: Mask) -> PreparedData:
    if (folder / "data.json").is_file():
        return open_data(folder)
    return without(data, folder, users, items)


def _weights(data: PreparedData, folder: Path, checkpoint: Path, model: str) -> Weights:
    if not (checkpoint / "config.json").is_file():
        started = time.monotonic()
        ncf.train(folder, model, out=checkpoint, refit=False)
        print(json.dumps({"trained": str(checkpoint), "s": round(time.monotonic() - started)}))
    found = open_checkpoint(checkpoint)
    found.require_data(data)
    return found.weights


class Judge:
    """Judges rows or scores of the users who were left out."""

    def __init__(self, data: PreparedData, users: npt.NDArray[np.int64]) -> None:
        panel = Panel.of(data)
        kept = np.isin(panel.users, users)
        self.users = panel.users[kept]
        self.relevant = sparse.csr_array(panel.relevant[np.flatnonzero(kept)])
        self.seen = sparse.csr_array(panel.seen[self.users]).toarray() > 0
        places = np.full(len(data.users), -1)
        places[self.users] = np.arange(self.users.size)
        cases = data.test.take(places[data.test.positives.users] >= 0)
        self.owners = places[cases.positives.users]
        self.items = np.column_stack([cases.positives.items, np.maximum(cases.negatives, 0)])
        self.valid = np.asarray(cases.negatives) >= 0
        self.popularity = np.bincount(data.train.items, minlength=len(data.items))

    def figures(self, scores: Floats) -> dict[str, Any]:
        """Judge the scores of all items, float32 of shape ``(users, items)``."""
        cases = scores[self.owners[:, None], self.items]
        ranks = pessimistic_ranks(cases[:, 0], cases[:, 1:], self.valid)
        lists = np.argsort(-np.where(self.seen, -np.inf, scores), axis=1, kind="stable")[:, :_K]
        wanted = np.diff(self.relevant.indptr).astype(np.int64)
        full = worth(hits(lists, self.relevant), wanted, _K)
        counts = np.bincount(self.owners, minlength=self.users.size)
        of_users = np.bincount(self.owners, gains(ranks, _K), self.users.size)
        self.sampled = of_users / np.maximum(counts, 1)
        self.full = full["ndcg"]
        of_cases = {
            "sampled_hr": round(float(hit_ratio(ranks, _K).mean()), 4),
            "sampled_ndcg": round(float(gains(ranks, _K).mean()), 4),
        }
        # The test cases of a given split have no sampled items.
        return (of_cases if self.valid.shape[1] else {}) | {
            "full_hr": round(float(full["hr"].mean()), 4),
            "full_ndcg": round(float(full["ndcg"].mean()), 4),
        }

    def scores(self, weights: Weights, rows: Floats) -> Floats:
        """Score every item for some rows."""
        n_items = len(item_vectors(weights))
        everything = np.broadcast_to(np.arange(n_items), (1, n_items))
        score = RowScores(weights)
        return np.concatenate([score(row[None], everything) for row in rows])

    def table(
        self, known: Weights, honest: Weights, train: sparse.csr_array, left_out: Mask
    ) -> list[dict[str, Any]]:
        """Make a row for each way and length of history."""
        popular = np.tile(self.popularity.astype(np.float32), (self.users.size, 1))
        rows = [{"way": "popular", **self.figures(popular)}]
        trained = np.concatenate(list(user_rows(known)))[self.users]
        rows.append({"way": "trained", **self.figures(self.scores(known, trained))})
        self.trained = {"sampled": self.sampled, "full": self.full}
        others = sparse.csr_array(train[np.flatnonzero(~left_out)]).astype(np.float32)
        peers = {"item cosine": item_cosine(others), "EASE": ease(others)}
        vectors, inside = item_vectors(honest), np.flatnonzero(~left_out)
        inside = inside[np.diff(train.indptr)[inside] > 0]
        own = np.concatenate(list(user_rows(honest)))[inside]
        history = sparse.csr_array(train[inside])
        rng = np.random.default_rng(1)
        matrix = normal_equations(vectors, own, history, rng).solve()
        self.folded: dict[tuple[str, int | None], npt.NDArray[np.float64]] = {}
        for length in LENGTHS:
            given = sparse.csr_array(train[self.users])
            sizes = np.full(self.users.size, length or given.shape[1])
            part = shortened(given, sizes, np.random.default_rng(2))
            for name, weights in peers.items():
                found = self.figures(np.asarray(part @ weights, np.float32))
                rows.append({"way": name, "history": length, **found})
            x = features(part @ vectors.astype(np.float64), np.diff(part.indptr))
            found = self.figures(self.scores(honest, (x @ matrix).astype(np.float32)))
            self.folded["sampled", length], self.folded["full", length] = self.sampled, self.full
            rows.append({"way": "folded in", "history": length, **found, **_ratios(found, rows)})
        return rows


def _ratios(found: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, float]:
    popular, trained = rows[0], rows[1]
    protocol = "sampled_ndcg" if "sampled_ndcg" in found else "full_ndcg"
    return {
        "of_trained": round(found[protocol] / trained[protocol], 3),
        "of_popular_full": round(found["full_ndcg"] / max(popular["full_ndcg"], 1e-9), 2),
        "of_popular_full_hr": round(found["full_hr"] / max(popular["full_hr"], 1e-9), 2),
    }


def promised(place: Path, model: str, data: PreparedData, judge: Judge) -> list[dict[str, Any]]:
    """Compare the losses that the honest model's bundle states with those of the left-out users."""
    publish(Source(open_checkpoint(place / f"{model}-users"), data), place / "store", "honest")
    facts = open_bundle(place / "store" / "honest").manifest.fold_in
    if not isinstance(facts, FoldInFacts):
        return [{"promise": facts.reason if facts else "none"}]
    rows = []
    for each in facts.promise:
        honest = judge.trained[each.protocol] - judge.folded[each.protocol, each.history]
        loss, error = mean_and_error(honest, np.arange(honest.size))
        both = float(np.hypot(error, each.loss_se))
        rows.append(
            {
                "promise": each.protocol,
                "history": each.history,
                "min_history": facts.min_history,
                "stated_loss": round(each.loss, 4),
                "honest_loss": round(loss, 4),
                "error_of_both": round(both, 4),
                "holds": bool(loss <= each.loss + 2 * both),
            }
        )
    return rows


if __name__ == "__main__":
    main()
