"""What a checkpoint says of its warm start: counts, what was learned, how far the lists moved."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from ncf.data.prepared import PreparedData
from ncf.evaluation.exact_lists import exact_lists
from ncf.evaluation.overlap import Overlap
from ncf.graphs.tower import branches
from ncf.models.weights import Weights
from ncf.training.learned import Learned
from ncf.training.manifest import WarmStarted
from ncf.training.warm_start import Warm
from ncf.training.warm_weights import Indices

_K, _USERS = 10, 1000


def warm_facts(
    warm: Warm | None, weights: Weights, data: PreparedData
) -> tuple[WarmStarted | None, Learned | None]:
    """Describe a warm start after its training; None without one.

    Parameters
    ----------
    warm : Warm or None
        The start.
    weights : dict
        Honest weights after the training.
    data : PreparedData
        Its data.
    """
    if warm is None:
        return None, None
    learned = Learned.of(data).and_also(warm.learned)
    facts = warm.facts
    if warm.part is None:
        facts = replace(facts, overlap=_overlap(warm, weights, data))
    return facts, learned


def _overlap(warm: Warm, weights: Weights, data: PreparedData) -> float:
    """Compare lists of ten before and after, of the items that both know, unseen today."""
    of_users, of_items = warm.moved(warm.learned.part(everything=False))
    users = np.sort(np.random.default_rng(0).permutation(of_users.kept)[:_USERS])
    items = of_items.kept
    seen = sparse.csr_array(data.interactions().csr()[users][:, items])
    before = _some(warm.parent.weights, of_users.old[users], of_items.old[items])
    positions, k = np.arange(users.size), min(_K, items.size)
    lists = [
        exact_lists(each, seen)(positions, k) for each in (before, _some(weights, users, items))
    ]
    found = Overlap(2)
    found.add((lists[0], lists[1]))
    return round(found.common()[0][1], 6)


def _some(weights: Weights, users: Indices, items: Indices) -> Weights:
    """Take some rows of the embeddings."""
    found = dict(weights)
    for branch in branches(weights):
        for side, rows in (("user", users), ("item", items)):
            name = f"{branch}.{side}.weight"
            found[name] = weights[name][rows]
    return found
