"""Refreshed rows and added items, judged by the sampled protocol."""

from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.held_out import Mask
from export.fold_in.row_scores import RowScores
from ncf.data.prepared import PreparedData
from ncf.evaluation.metrics import gains, mean_and_error, pessimistic_ranks
from ncf.evaluation.metrics import hits as hit_ratio
from ncf.graphs.fold_in import features, item_vectors
from ncf.graphs.fold_in_fit import normal_equations
from ncf.graphs.new_items import with_new_items
from ncf.graphs.topk import user_rows
from ncf.models.weights import Weights
from ncf.scoring.fold_in import ANEW

_K = 10


def refreshed(data: PreparedData, before: PreparedData, weights: Weights) -> dict[str, Any]:
    """Move rows along with the last pairs that a training left out, and rank test items.

    Only users whose history grew are asked.
    """
    train, vectors = before.train.csr(), item_vectors(weights)
    users = np.flatnonzero(before.trained())
    rows = np.concatenate(list(user_rows(weights)))
    history = sparse.csr_array(train[users])
    matrix = normal_equations(vectors, rows[users], history, np.random.default_rng(1)).solve()
    now = data.train.csr()
    has_more = np.diff(now.indptr) > np.diff(train.indptr)
    x = [
        features(each.astype(np.float64) @ vectors.astype(np.float64), np.diff(each.indptr))
        for each in (train, now)
    ]
    old, new = (each @ matrix for each in x)
    had = np.diff(train.indptr)
    share = (np.diff(now.indptr) - had) / np.maximum(had, 1)
    moved = np.where((share > ANEW)[:, None], new, rows + (new - old)).astype(np.float32)
    some = data.test.take((has_more & before.trained())[data.test.positives.users])
    cases = some.take(np.arange(len(some.positives))[:20_000])
    items = np.column_stack([cases.positives.items, np.maximum(cases.negatives, 0)])
    values = []
    for each in (rows, moved):
        logits = RowScores(weights)(each[cases.positives.users], items.astype(np.int64))
        valid = np.asarray(cases.negatives) >= 0
        values.append(gains(pessimistic_ranks(logits[:, 0], logits[:, 1:], valid), _K))
    gain, error = mean_and_error(values[1] - values[0], cases.positives.users)
    found = {"refreshed_users": int(has_more.sum()), "stale": round(float(values[0].mean()), 4)}
    return {**found, "gain": round(gain, 4), "gain_se": round(error, 4)}


def added_items(data: PreparedData, known: Weights, old: Weights, new: Mask) -> dict[str, Any]:
    """Add the items that a training left out, and rank test cases whose answer is one of them."""
    kept, train = np.flatnonzero(~new), data.train.csr()
    takers = sparse.csr_array(train.T)
    rows = np.concatenate(list(user_rows(old)))
    vectors = item_vectors(old)
    some = kept[np.diff(takers.indptr)[kept] > 0]
    history = sparse.csr_array(takers[some])
    matrix = normal_equations(rows, vectors[some], history, np.random.default_rng(1)).solve()
    order = np.flatnonzero(new)
    who = {
        number: takers.indices[takers.indptr[item] : takers.indptr[item + 1]].astype(np.int64)
        for number, item in enumerate(order.tolist())
    }
    grown = with_new_items(old, rows, matrix.astype(np.float32), who)
    place = np.arange(len(data.items))
    place[order] = len(data.items) + np.arange(order.size)
    asked = new[data.test.positives.items] & data.trained()[data.test.positives.users]
    cases = data.test.take(np.flatnonzero(asked)[:20_000])
    items = np.column_stack([cases.positives.items, np.maximum(cases.negatives, 0)])
    valid = np.asarray(cases.negatives) >= 0
    found: dict[str, Any] = {"new_items": int(order.size), "cases": len(cases.positives)}
    trained = np.concatenate(list(user_rows(known)))
    ways = {"added": (grown, rows, place[items]), "trained": (known, trained, items)}
    for way, (weights, of_users, which) in ways.items():
        logits = RowScores(weights)(of_users[cases.positives.users], which.astype(np.int64))
        ranks = pessimistic_ranks(logits[:, 0], logits[:, 1:], valid)
        found[f"{way}_hr"] = round(float(hit_ratio(ranks, _K).mean()), 4)
        found[f"{way}_ndcg"] = round(float(gains(ranks, _K).mean()), 4)
    return found
