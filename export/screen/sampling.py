"""Sample users and compute their exact logits, to fit and to judge a screen."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnx import TensorProto
from scipy import sparse

from ncf.devices import usable_cores
from ncf.graphs.builder import GraphBuilder
from ncf.graphs.topk import TILE_ITEMS
from ncf.graphs.tower import Floats, Tower, catalogue_size, heads, row_width
from ncf.models.weights import Weights
from ncf.scoring.sessions import open_cpu

FEWEST = 64  # users; with fewer, neither a basis nor a recall means much
_PAIRS = 1 << 26  # scored exactly; bounds the time
_VALUES = 1 << 25  # of a group's logits held at once; bounds the memory
_USERS = 1024
_AFFORDED = 256  # users, for any catalogue
_AT_ONCE = 16


@dataclass(frozen=True)
class Groups:
    """Disjoint groups of sampled users, as int64 indices."""

    fit: npt.NDArray[np.int64]
    choose: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


class Lists(NamedTuple):
    """Best unseen items of some users, int64 ``(n, k)``, and which entries count, bool."""

    items: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]


class ExactLogits:
    """Computes exact logits of users over the catalogue, block by block.

    Parameters
    ----------
    weights : dict
        Weights of an MLP or a NeuMF.
    rows : float32 array of shape (users, d)
        User rows of the top-K graphs; may be a memory map.
    seen : scipy.sparse.csr_array
        Seen items, users by items.
    """

    def __init__(self, weights: Weights, rows: Floats, seen: sparse.csr_array) -> None:
        self._rows, self._seen = rows, seen
        self._gmf = heads(weights)[0].size
        self._bias = weights["output.bias"]
        self._gmf_items = weights["gmf.item.weight"].T if self._gmf else None
        self._session = _tower_session(weights)

    def tower(self, users: npt.NDArray[np.int64]) -> Floats:
        """Compute the logits of the tower alone, float32 of shape ``(n, items)``."""
        # One thread a block is faster than many, as a block's products are too small to split.
        with ThreadPoolExecutor(usable_cores()) as pool:
            return np.concatenate(list(pool.map(self._tower, (users[at] for at in blocks(users)))))

    def _tower(self, users: npt.NDArray[np.int64]) -> Floats:
        rows = np.ascontiguousarray(self._rows[users, self._gmf :])
        logits: Floats = self._session.run(["logit"], {"rows": rows})[0]
        return logits

    def complete(self, tower: Floats, users: npt.NDArray[np.int64]) -> Floats:
        """Add GMF and the bias to the tower's logits, and mask what the users have seen."""
        logits = tower + self._bias
        if self._gmf_items is not None:
            logits += self._rows[users, : self._gmf] @ self._gmf_items
        positions, items = self._seen[users].nonzero()
        logits[positions, items] = -np.inf
        return logits


def sample_groups(n_users: int, n_items: int, seed: int) -> Groups:
    """Draw the three groups, with as many users as the bounds on time and memory allow.

    A quarter of the users fits, a quarter chooses, and half is held out.
    """
    affordable = min(n_users, _USERS, max(_AFFORDED, _PAIRS // n_items))
    drawn = np.random.default_rng(seed).permutation(n_users)[:affordable]
    first = min(affordable // 4, max(1, _VALUES // n_items))
    second = 2 * first
    return Groups(*(part.astype(np.int64) for part in np.split(drawn, [first, second])))


def best_lists(exact: ExactLogits, towers: Floats, users: npt.NDArray[np.int64], k: int) -> Lists:
    """Find the best unseen items of users from their tower logits, best first."""
    items = np.empty((users.size, k), np.int64)
    valid = np.empty((users.size, k), np.bool_)
    for at in blocks(users):
        logits = exact.complete(towers[at], users[at])
        best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
        scores = np.take_along_axis(logits, best, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")
        items[at] = np.take_along_axis(best, order, axis=1)
        valid[at] = np.isfinite(np.take_along_axis(scores, order, axis=1))
    return Lists(items, valid)


def places(
    exact: ExactLogits, guesses: Iterator[Floats], users: npt.NDArray[np.int64], truth: Lists
) -> npt.NDArray[np.int64]:
    """Find the rank of each best item in a guess, from 1; int64 of shape ``(n, k)``.

    Ties count against the item.
    """
    found = np.empty(truth.items.shape, np.int64)
    for at, guess in zip(blocks(users), guesses, strict=True):
        logits = exact.complete(guess, users[at])
        for row, user in enumerate(range(*at.indices(users.size))):
            wanted = logits[row, truth.items[user]]
            rivals = np.sort(logits[row, logits[row] >= wanted.min()])
            found[user] = rivals.size - np.searchsorted(rivals, wanted)
    return found


def blocks(users: npt.NDArray[np.int64]) -> list[slice]:
    """Cut users into blocks whose logits fit into memory."""
    return [slice(at, at + _AT_ONCE) for at in range(0, users.size, _AT_ONCE)]


def _tower_session(weights: Weights) -> ort.InferenceSession:
    graph = GraphBuilder()
    tower = Tower(weights, heads(weights)[1])
    tower.constants(graph)
    graph.outputs("Identity", tower.loop(graph, "rows", TILE_ITEMS), names=["logit"])
    width = row_width(weights) - heads(weights)[0].size
    return open_cpu(
        graph.model(
            "tower",
            {"rows": (TensorProto.FLOAT, ["n", width])},
            {"logit": (TensorProto.FLOAT, ["n", catalogue_size(weights)])},
        ),
        threads=1,
    )
