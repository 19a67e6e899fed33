"""Make reference logits for ranking graphs: every item for some users, scored pair by pair."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ncf.scoring.bundle import Bundle

_PAIRS_AT_ONCE = 1 << 16
_LARGEST_SAMPLE = 128
_SCORES = 1 << 21

PairScorer = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def graph_scorer(session: ort.InferenceSession) -> PairScorer:
    """Make a scorer of pairs, which takes bounded memory, from an open ``score.onnx``."""

    def score(
        users: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        logits = np.empty(users.size, np.float32)
        for start in range(0, users.size, _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            (logits[part],) = session.run(["logit"], {"user": users[part], "item": items[part]})
        return logits

    return score


@dataclass(frozen=True)
class Reference:
    """The logits that a top-K graph must give for some users.

    Parameters
    ----------
    users : int64 array of shape (n,)
        User indices.
    logits : float32 array of shape (n, items)
        Logits; minus infinity where an item is seen.
    """

    users: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]


def reference(bundle: Bundle, score: PairScorer) -> Reference:
    """Score a sample of users, with the first and the last, over the whole catalogue."""
    size = min(bundle.n_users, max(4, min(_LARGEST_SAMPLE, _SCORES // bundle.n_items)))
    drawn = np.random.default_rng(0).choice(bundle.n_users, size, replace=False)
    users = np.unique(np.append(drawn, [0, bundle.n_users - 1])).astype(np.int64)
    return reference_for(users, bundle.seen.pairs(users), bundle.n_items, score)


def reference_for(
    users: npt.NDArray[np.int64], seen: npt.NDArray[np.integer], n_items: int, score: PairScorer
) -> Reference:
    """Score given users over the whole catalogue.

    Parameters
    ----------
    users : int64 array of shape (n,)
        User indices.
    seen : int array of shape (m, 2)
        Position in ``users`` and item index.
    n_items : int
        Size of the catalogue.
    score : callable
        Gives the logits of pairs.
    """
    catalogue = np.arange(n_items, dtype=np.int64)
    logits = score(np.repeat(users, n_items), np.tile(catalogue, users.size))
    table = logits.reshape(users.size, n_items).copy()
    table[seen[:, 0], seen[:, 1]] = -np.inf
    return Reference(users, table)
