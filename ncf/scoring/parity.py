"""Parity of the top-K graphs with a way to score pairs: logits, ranking up to ties, masking."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ncf.errors import ParityError
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import GraphRanker, TopK

TOLERANCE = 1e-5  # logits, absolute: near zero, relative differences mean nothing
_ROUNDING = 32 * 2.0**-23  # of the largest logit: what float32 sums may differ by in another order
_PAIRS_AT_ONCE = 1 << 16
_LARGEST_SAMPLE = 128
_SCORES = 1 << 21
_RESCORED = 64  # items a user

PairScorer = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """How far two ways to compute logits are apart.

    Parameters
    ----------
    compared : int
        Logits compared.
    max_difference, mean_difference : float
        Absolute, in logits.
    tolerance : float
        Largest difference that is let through.
    """

    compared: int
    max_difference: float
    mean_difference: float
    tolerance: float

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(name: str, found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> Parity:
    """Hold one array of logits against another, up to the tolerance.

    Raises
    ------
    ParityError
        One differs by more than the tolerance, or is NaN.
    """
    allowed = tolerance(expected)
    differences = np.abs(found.astype(np.float64) - expected)
    most = float(differences.max(initial=0.0))
    if not most <= allowed:  # written so that NaN fails too
        worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        raise ParityError(
            f"{name} says {found.flat[worst]} where the model says {expected.flat[worst]}"
        )
    mean = float(differences.mean()) if differences.size else 0.0
    return Parity(differences.size, most, mean, allowed)


def tolerance(logits: npt.NDArray[np.float32]) -> float:
    """Largest difference from some logits that rounding explains.

    It is 1e-5, or 32 units in the last place of the largest logit where that is more (from
    logits of 2.6 on): a float32 sum cannot be held closer than its own rounding.
    """
    finite = logits[np.isfinite(logits)].astype(np.float64)
    return max(TOLERANCE, _ROUNDING * float(np.abs(finite).max(initial=0.0)))


def tolerances(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Apply :func:`tolerance` to each row by itself: one user's large logits are no other's.

    Parameters
    ----------
    logits : float32 array of shape (n, c)
        Infinite ones do not count.

    Returns
    -------
    float64 array of shape (n,)
    """
    finite = np.where(np.isfinite(logits), np.abs(logits.astype(np.float64)), 0.0)
    largest: npt.NDArray[np.float64] = finite.max(axis=1, initial=0.0)
    return np.maximum(TOLERANCE, _ROUNDING * largest)


def graph_scorer(session: ort.InferenceSession) -> PairScorer:
    """Make a function of pairs from an open ``score.onnx``; memory does not grow with the pairs."""

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
    """What a top-K graph must answer for some users.

    Parameters
    ----------
    users : int64 array of shape (n,)
        User indices.
    logits : float32 array of shape (n, items)
        Minus infinity where an item is seen.
    """

    users: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]


def reference(bundle: Bundle, score: PairScorer) -> Reference:
    """Score sampled users over the whole catalogue, the first and the last user among them."""
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
        Logits of pairs.
    """
    catalogue = np.arange(n_items, dtype=np.int64)
    logits = score(np.repeat(users, n_items), np.tile(catalogue, users.size))
    table = logits.reshape(users.size, n_items).copy()
    table[seen[:, 0], seen[:, 1]] = -np.inf
    return Reference(users, table)


def compare_topk(name: str, ranker: GraphRanker, expected: Reference) -> Parity:
    """Hold a top-K graph against a reference, at K = 10 and at every item.

    Raises
    ------
    ParityError
        A logit differs, a better item is left out, or an unwanted one is listed.
    """
    n_items = expected.logits.shape[1]
    compare_lists(name, ranker.rank(expected.users, min(10, n_items)), expected)
    return compare_lists(name, ranker.rank(expected.users, n_items), expected)


def compare_screen(name: str, top: TopK, expected: Reference) -> Parity:
    """Hold screened lists of the reference's users against it: their scores, not their choice.

    Raises
    ------
    ParityError
        A logit differs, a list is short or out of order, or holds an unwanted item or one twice.
    """
    n_items, k = expected.logits.shape[1], top.items.shape[1]
    wanted = np.minimum(np.isfinite(expected.logits).sum(axis=1), k)
    if not np.array_equal(top.valid(), np.arange(k) < wanted[:, None]):
        raise ParityError(f"{name} lists seen items or too few")
    rows, columns = np.nonzero(top.valid())
    items, scores = top.items[rows, columns], top.scores[rows, columns]
    if np.unique(rows * n_items + items).size != rows.size:
        raise ParityError(f"{name} lists an item twice")
    if (top.scores[:, 1:] > top.scores[:, :-1]).any():
        raise ParityError(f"{name} does not list the best item first")
    return compare(name, scores, expected.logits[rows, items])


def compare_rescored(
    name: str, score: Callable[..., npt.NDArray[np.float32]], expected: Reference
) -> Parity:
    """Hold scores of random given items against a reference's unseen ones.

    Raises
    ------
    ParityError
        A logit differs.
    """
    rng = np.random.default_rng(0)
    items = rng.integers(0, expected.logits.shape[1], (expected.users.size, _RESCORED))
    wanted = np.take_along_axis(expected.logits, items, axis=1)
    finite = np.isfinite(wanted)
    return compare(name, score(expected.users, items)[finite], wanted[finite])


def compare_lists(name: str, top: TopK, expected: Reference) -> Parity:
    """Hold ranked lists of the reference's users against it, up to ties.

    Raises
    ------
    ParityError
        A logit differs, a better item is left out, or an unwanted one is listed.
    """
    n_items, k = expected.logits.shape[1], top.items.shape[1]
    best = -np.sort(-expected.logits, axis=1)[:, :k]
    if not np.array_equal(np.isfinite(best), top.valid()):
        raise ParityError(f"{name} lists seen items or leaves unseen ones out")
    rows, columns = np.nonzero(top.valid())
    items, scores = top.items[rows, columns], top.scores[rows, columns]
    if np.unique(rows * n_items + items).size != rows.size:
        raise ParityError(f"{name} lists an item twice")
    compare(f"rank by {name}", scores, best[rows, columns])
    return compare(name, scores, expected.logits[rows, items])
