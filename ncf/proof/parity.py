"""Compare top-K graphs with a way to score pairs: logits, ranking up to ties, masking."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ncf.errors import ParityError
from ncf.pairs import distinct, pair_keys
from ncf.proof.reference import Reference
from ncf.proof.tolerance import tolerance
from ncf.scoring.manifest import Parity
from ncf.scoring.ranker import Ranker, TopK

_RESCORED = 64  # items for each user


def compare(name: str, found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> Parity:
    """Compare one array of logits with another, up to the tolerance.

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


def compare_topk(name: str, ranker: Ranker, expected: Reference) -> Parity:
    """Compare a ranker with a reference, at K = 10 and at every item.

    Raises
    ------
    ParityError
        A logit differs, a better item is left out, or a seen one is listed.
    """
    n_items = expected.logits.shape[1]
    compare_lists(name, ranker.rank(expected.users, min(10, n_items)), expected)
    return compare_lists(name, ranker.rank(expected.users, n_items), expected)


def compare_screen(name: str, top: TopK, expected: Reference) -> Parity:
    """Compare screened lists with a reference: their scores, not their choice.

    Raises
    ------
    ParityError
        A logit differs, a list is short or out of order, or holds a seen item or one twice.
    """
    n_items, k = expected.logits.shape[1], top.items.shape[1]
    wanted = np.minimum(np.isfinite(expected.logits).sum(axis=1), k)
    if not np.array_equal(top.valid(), np.arange(k) < wanted[:, None]):
        raise ParityError(f"{name} lists seen items or too few")
    rows, columns = np.nonzero(top.valid())
    items, scores = top.items[rows, columns], top.scores[rows, columns]
    if distinct(pair_keys(rows, items, n_items)).size != rows.size:
        raise ParityError(f"{name} lists an item twice")
    if (top.scores[:, 1:] > top.scores[:, :-1]).any():
        raise ParityError(f"{name} does not list the best item first")
    return compare(name, scores, expected.logits[rows, items])


def compare_rescored(
    name: str, score: Callable[..., npt.NDArray[np.float32]], expected: Reference
) -> Parity:
    """Compare scores of random given items with a reference's unseen ones.

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
    """Compare ranked lists with a reference, up to ties.

    Raises
    ------
    ParityError
        A logit differs, a better item is left out, or a seen one is listed.
    """
    n_items, k = expected.logits.shape[1], top.items.shape[1]
    best = -np.sort(-expected.logits, axis=1)[:, :k]
    if not np.array_equal(np.isfinite(best), top.valid()):
        raise ParityError(f"{name} lists seen items or leaves unseen ones out")
    rows, columns = np.nonzero(top.valid())
    items, scores = top.items[rows, columns], top.scores[rows, columns]
    if distinct(pair_keys(rows, items, n_items)).size != rows.size:
        raise ParityError(f"{name} lists an item twice")
    compare(f"rank by {name}", scores, best[rows, columns])
    return compare(name, scores, expected.logits[rows, items])
