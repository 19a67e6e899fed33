"""Sample users and compute their exact logits, to fit and to judge a screen."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from scipy import sparse

from ncf.devices import usable_cores
from ncf.graphs.builder import GraphBuilder
from ncf.graphs.topk import TILE_ITEMS
from ncf.graphs.tower import Floats, Tower, catalogue_size, heads, row_width
from ncf.models.weights import Weights
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.sessions import open_cpu

FEWEST = 64  # users; with fewer, neither a basis nor a recall means much
# Of each group: more users fit better and judge better, fewer pairs are scored in less time. The
# choosing group's logits are held at once, 128 MiB.
_MOST_USERS = 3072
_PAIRS = {"fit": 1 << 25, "choose": 1 << 25, "held_out": 1 << 25}
_AFFORDED = {"fit": 512, "choose": 128, "held_out": 256}  # users, for any catalogue
_FEW = 2048  # users
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

    def rows(self, users: npt.NDArray[np.int64]) -> Floats:
        """Read the rows of users, float32 of shape ``(n, d)``."""
        return np.ascontiguousarray(self._rows[users])

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
        return self.masked(logits, users)

    def masked(self, logits: Floats, users: npt.NDArray[np.int64]) -> Floats:
        """Set the logits of what the users have seen to minus infinity, in place."""
        positions, items = self._seen[users].nonzero()
        logits[positions, items] = -np.inf
        return logits


def sample_groups(n_users: int, n_items: int, seed: int) -> Groups:
    """Draw the three groups: a third of the users each, or as many as time and memory allow.

    Where users are few, half of them fit.
    """
    drawn = np.random.default_rng(seed).permutation(n_users).astype(np.int64)
    parts, at = [], 0
    for name, pairs in _PAIRS.items():
        affordable = min(_MOST_USERS, max(_AFFORDED[name], pairs // n_items))
        small = n_users < _FEW
        share = (2 if name == "fit" else 4) if small else 3
        size = min(affordable, max(1, n_users // share))
        parts.append(drawn[at : at + size])
        at += size
    return Groups(*parts)


def best_lists(logits: Floats, k: int) -> Lists:
    """Find the best items of users from their masked logits, best first."""
    best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(logits, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    valid = np.isfinite(np.take_along_axis(scores, order, axis=1))
    return Lists(np.take_along_axis(best, order, axis=1), valid)


def places(guess: Floats, truth: Lists) -> npt.NDArray[np.int64]:
    """Find the rank of each best item in masked guesses, from 1; int64 of shape ``(n, k)``.

    Ties count against the item.
    """
    found = np.empty(truth.items.shape, np.int64)
    for row, (logits, best) in enumerate(zip(guess, truth.items, strict=True)):
        wanted = logits[best]
        rivals = np.sort(logits[logits >= wanted.min()])
        found[row] = rivals.size - np.searchsorted(rivals, wanted)
    return found


def blocks(users: npt.NDArray[np.int64], step: int = _AT_ONCE) -> list[slice]:
    """Cut users into blocks whose logits fit into memory."""
    return [slice(at, at + step) for at in range(0, users.size, step)]


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
