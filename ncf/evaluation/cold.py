"""Users without a training pair, whom random splits leave: counted apart from the others.

The model has nothing to go by for them, and no product lists what it says: they are given the most
popular items. So their figures are those of popularity, beside the model's and not among them.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.data.interactions import Cases
from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.evaluation.full_ranking import Panel, full
from ncf.evaluation.lists import Lists, Rank, Users
from ncf.evaluation.metrics import summarise
from ncf.evaluation.protocols import sampled_ranks


def trained_cases(data: PreparedData) -> Cases:
    """Test cases of users with a training pair."""
    return data.test.take(data.trained()[data.test.positives.users])


def cold_sampled(data: PreparedData, lengths: Sequence[int]) -> dict[str, Any] | None:
    """Figures of popularity for cold users by the sampled protocol; None where none has a case."""
    cases = data.test.take(~data.trained()[data.test.positives.users])
    if not len(cases.positives):
        return None
    popular = places(data)
    found = sampled_ranks(lambda _, items: -popular[items], cases)
    rows = [asdict(summarise(found, k)) for k in lengths]
    shared = {name: rows[0][name] for name in ("cases", "users", "unranked")}
    left_out = {"protocol", *shared}
    return {
        **shared,
        "metrics": [{name: row[name] for name in row if name not in left_out} for row in rows],
    }


def cold_full(data: PreparedData, lengths: Sequence[int]) -> dict[str, Any] | None:
    """Figures of popularity for cold users by the full protocol; None where none can be asked."""
    try:
        panel = Panel.of(data, ~data.measured())
    except UsageError:
        return None
    found = asdict(full(popular_lists(data, panel.seen), data, panel, lengths))
    return {name: value for name, value in found.items() if name not in {"protocol", "segments"}}


def untrained(data: PreparedData) -> dict[str, int]:
    """Count test users and test items of a given split without a training pair."""
    if data.has_negatives:
        return {}
    test, train = data.test.positives, data.train
    return {
        "test_users_without_training_pair": np.setdiff1d(test.users, train.users).size,
        "test_items_without_training_pair": np.setdiff1d(test.items, train.items).size,
    }


def popular_lists(data: PreparedData, seen: sparse.csr_array) -> Rank:
    """Give everybody the most popular items that they have not seen."""
    order = np.argsort(places(data))

    def lists(users: Users, k: int) -> Lists:
        found = np.full((users.size, min(k, order.size)), -1, np.int64)
        for row, user in enumerate(users.tolist()):
            own = seen.indices[seen.indptr[user] : seen.indptr[user + 1]]
            best = order[: k + own.size]
            best = best[~np.isin(best, own)][:k]
            found[row, : best.size] = best
        return found

    return lists


def places(data: PreparedData) -> npt.NDArray[np.float32]:
    """Place of each item by popularity in training, from 0; ties by ascending index."""
    counts = np.bincount(data.train.items, minlength=len(data.items))
    found = np.empty(counts.size, np.float32)
    found[np.argsort(-counts, kind="stable")] = np.arange(counts.size)
    return found
