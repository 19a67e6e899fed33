"""Measure a model on the validation part, by the protocol that fits the test part."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse

from ncf.baselines.item_item import ItemItem
from ncf.data.prepared import PreparedData
from ncf.evaluation.exact_lists import exact_lists
from ncf.evaluation.full_ranking import Panel
from ncf.evaluation.lists import Rank, hits, worth
from ncf.evaluation.protocols import sampled
from ncf.models.networks import GMF, Network
from ncf.models.scorer import GroupScorer, group_scorer
from ncf.training.checkpoint import weights_of

K = 10
"""Length of the lists that validation measures."""

_CASES = 10_000  # of a given validation part; others are no larger
_LOGITS = 1 << 29  # of a GMF in one validation
_LOGITS_OF_A_TOWER = 1 << 25
_LEAST_USERS = 500
_USERS_AT_ONCE = 1024


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

    @property
    def _asked(self) -> Panel:
        if self._panel is None:
            self._panel = _panel(self._data)
        return self._panel

    def _sampled(self, score: GroupScorer) -> tuple[float, float]:
        metrics = sampled(score, self._cases, K)
        return metrics.hr, metrics.ndcg

    def _full(self, rank: Rank, most_logits: int) -> tuple[float, float]:
        panel, n_items = self._asked, self._asked.seen.shape[1]
        count = min(panel.users.size, max(most_logits // n_items, _LEAST_USERS))
        panel, found = panel.at_most(count), []
        for start in range(0, count, _USERS_AT_ONCE):
            part = slice(start, start + _USERS_AT_ONCE)
            lists = rank(panel.users[part], min(K, n_items))
            relevant = sparse.csr_array(panel.relevant[part])
            figures = worth(hits(lists, relevant), panel.wanted(part), K)
            found.append(np.stack([figures["hr"], figures["ndcg"]]))
        hr, ndcg = np.concatenate(found, axis=1).mean(axis=1).tolist()
        return hr, ndcg


def _panel(data: PreparedData) -> Panel:
    """Find the users of the validation part; only training pairs are left out of their lists."""
    nothing = data.validation.take(np.zeros(0, np.intp))
    return Panel.of(replace(data, test=data.validation, validation=nothing))
