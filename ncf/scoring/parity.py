"""Parity of the top-K graphs with a way to score pairs: logits, ranking up to ties, masking."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ncf.errors import ParityError
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranking import GraphRanker

TOLERANCE = 1e-5  # logits, absolute: near zero, relative differences mean nothing
_LARGEST_SAMPLE = 128
_SCORES = 1 << 21

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
    tolerance: float = TOLERANCE

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compare(name: str, found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> Parity:
    """Hold one array of logits against another.

    Raises
    ------
    ParityError
        One differs by more than the tolerance, or is NaN.
    """
    differences = np.abs(found.astype(np.float64) - expected)
    largest = float(differences.max(initial=0.0))
    if not largest <= TOLERANCE:  # written so that NaN fails too
        worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        raise ParityError(
            f"{name} says {found.flat[worst]} where the model says {expected.flat[worst]}",
            remedy="nothing was published; please report this",
        )
    mean = float(differences.mean()) if differences.size else 0.0
    return Parity(differences.size, largest, mean)


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
    n_items = bundle.n_items
    size = min(bundle.n_users, max(4, min(_LARGEST_SAMPLE, _SCORES // n_items)))
    drawn = np.random.default_rng(0).choice(bundle.n_users, size, replace=False)
    users = np.unique(np.append(drawn, [0, bundle.n_users - 1])).astype(np.int64)
    catalogue = np.arange(n_items, dtype=np.int64)
    logits = score(np.repeat(users, n_items), np.tile(catalogue, users.size))
    table = logits.reshape(users.size, n_items).copy()
    seen = bundle.seen.pairs(users)
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
    best = -np.sort(-expected.logits, axis=1)
    found = []
    for k in (min(10, n_items), n_items):
        top = ranker.rank(expected.users, k)
        rows, columns = np.nonzero(top.valid())
        if not np.array_equal(np.isfinite(best[:, :k]), top.valid()):
            raise ParityError(f"{name} lists seen items or leaves unseen ones out")
        own = expected.logits[rows, top.items[rows, columns]]
        found.append(compare(name, top.scores[rows, columns], own))
        compare(f"rank by {name}", top.scores[rows, columns], best[rows, columns])
        if np.unique(rows * n_items + top.items[rows, columns]).size != rows.size:
            raise ParityError(f"{name} lists an item twice")
    return found[-1]
