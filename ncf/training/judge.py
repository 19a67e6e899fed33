"""Measure a model on the validation part, by the protocol that fits the test part."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from ncf.baselines.item_item import ItemItem, top_items
from ncf.data.prepared import PreparedData
from ncf.evaluation.exact_lists import exact_lists
from ncf.evaluation.full_ranking import Panel
from ncf.evaluation.lists import Lists, Rank, hits, worth
from ncf.evaluation.protocols import sampled
from ncf.models.networks import GMF, MLP, Network
from ncf.models.scorer import GroupScorer, Indices, group_scorer
from ncf.training.checkpoint import weights_of

K = 10
"""Length of the lists that validation measures."""

_CASES = 10_000  # of a given validation part; others are no larger
_LOGITS = 1 << 27  # of a GMF in one validation, or of a tower where mixes are chosen, once
_LOGITS_OF_A_TOWER = 1 << 25
_LEAST_USERS = 500
_USERS_AT_ONCE = 1024
_ITEMS_AT_ONCE = 4096
_SCORES_AT_ONCE = 1 << 22

Logits = npt.NDArray[np.float32]


class Judge:
    """Measures HR and NDCG at :data:`K` on validation cases.

    Cases of a leave-one-out or a random split are ranked against their sampled items. A given split
    has none for its test part and is measured by full ranking, and so is its validation part here:
    on sparse data the two protocols choose other epochs. Of many users a part is measured, always
    the same.

    Parameters
    ----------
    data : PreparedData
        The data; of a refit, which has no validation, nothing is measured.
    """

    def __init__(self, data: PreparedData) -> None:
        self.protocol = "sampled" if data.has_negatives else "full"
        self._data = data
        self._cases = data.validation.at_most(_CASES)
        self._panel: Panel | None = None

    def measure(self, network: Network) -> tuple[float, float]:
        """Measure HR and NDCG, in [0, 1]."""
        if self.protocol == "sampled":
            return self._sampled(group_scorer(network))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            rank = exact_lists(weights_of(network), self._asked.seen, pool=pool)
            return self._full(rank, _LOGITS if isinstance(network, GMF) else _LOGITS_OF_A_TOWER)

    def measure_items(self, model: ItemItem) -> tuple[float, float]:
        """Measure HR and NDCG of an item-item model, in [0, 1]."""
        if self.protocol == "sampled":
            return self._sampled(model.pair_scores)
        return self._full(model.lists(self._asked.seen), _LOGITS)

    def measure_mixes(self, parents: tuple[GMF, MLP], shares: Sequence[float]) -> list[float]:
        """Measure the NDCG, in [0, 1], of mixes of two networks: each is scored only once.

        Parameters
        ----------
        parents : tuple of GMF and MLP
            The networks.
        shares : sequence of float
            Weight of the first one's logits in each mix; the second one's have the rest.
        """
        scores = [group_scorer(parent) for parent in parents]
        if self.protocol == "sampled":
            known = [_once(score) for score in scores]
            return [self._sampled(_mixed(known, share))[1] for share in shares]
        panel, n_items = self._panel_of(_LOGITS), self._asked.seen.shape[1]
        found = np.empty((len(shares), panel.users.size))
        step = max(1, _SCORES_AT_ONCE // n_items)
        for start in range(0, panel.users.size, step):
            part = slice(start, start + step)
            users = panel.users[part]
            logits = [_of_catalogue(score, users, n_items) for score in scores]
            seen = panel.seen[users].tocoo()
            for row, share in enumerate(shares):
                mixed = _mix(logits, share)
                mixed[seen.row, seen.col] = -np.inf
                lists = top_items(mixed, min(K, n_items))
                found[row, part] = _figures(panel, part, lists)["ndcg"]
        ndcg: list[float] = found.mean(axis=1).tolist()
        return ndcg

    @property
    def _asked(self) -> Panel:
        if self._panel is None:
            self._panel = _panel(self._data)
        return self._panel

    def _sampled(self, score: GroupScorer) -> tuple[float, float]:
        metrics = sampled(score, self._cases, K)
        return metrics.hr, metrics.ndcg

    def _full(self, rank: Rank, most_logits: int) -> tuple[float, float]:
        panel, found = self._panel_of(most_logits), []
        for start in range(0, panel.users.size, _USERS_AT_ONCE):
            part = slice(start, start + _USERS_AT_ONCE)
            lists = rank(panel.users[part], min(K, panel.seen.shape[1]))
            figures = _figures(panel, part, lists)
            found.append(np.stack([figures["hr"], figures["ndcg"]]))
        hr, ndcg = np.concatenate(found, axis=1).mean(axis=1).tolist()
        return hr, ndcg

    def _panel_of(self, most_logits: int) -> Panel:
        """Take as many users as these logits allow, but never few."""
        return self._asked.at_most(max(most_logits // self._asked.seen.shape[1], _LEAST_USERS))


def _figures(panel: Panel, part: slice, lists: Lists) -> dict[str, npt.NDArray[np.float64]]:
    relevant = sparse.csr_array(panel.relevant[part])
    return worth(hits(lists, relevant), panel.wanted(part), K)


def _once(score: GroupScorer) -> GroupScorer:
    """Score users with items at most once: the same question gets the logits of the first time."""
    known: dict[tuple[bytes, bytes], Logits] = {}

    def answer(users: Indices, items: Indices) -> Logits:
        question = users.tobytes(), items.tobytes()
        if question not in known:
            known[question] = score(users, items)
        return known[question]

    return answer


def _mixed(scores: Sequence[GroupScorer], share: float) -> GroupScorer:
    return lambda users, items: _mix([score(users, items) for score in scores], share)


def _mix(logits: Sequence[Logits], share: float) -> Logits:
    first, second = logits
    return share * first + (1 - share) * second


def _of_catalogue(score: GroupScorer, users: Indices, n_items: int) -> Logits:
    """Score all items for some users, so many at once that hidden layers stay in the cache."""
    parts = []
    for start in range(0, n_items, _ITEMS_AT_ONCE):
        items = np.arange(start, min(start + _ITEMS_AT_ONCE, n_items))
        parts.append(score(users, np.broadcast_to(items, (users.size, items.size))))
    return np.concatenate(parts, axis=1)


def _panel(data: PreparedData) -> Panel:
    """Find the users of the validation part; only training pairs are left out of their lists."""
    nothing = data.validation.take(np.zeros(0, np.intp))
    return Panel.of(replace(data, test=data.validation, validation=nothing))
