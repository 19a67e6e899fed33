"""Add new items to an exported model, without its checkpoint and without PyTorch."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.contents import Contents, by_popularity, write_contents, write_pairs
from export.fold_in.row_scores import RowScores
from export.model_card import recipe_of
from export.screen.assembly import make_screen
from export.sealing import prove_and_seal
from ncf.arrays import map_npy
from ncf.data.id_files import find, read_pairs
from ncf.data.origins import digest_of
from ncf.errors import ArtifactError, UsageError
from ncf.graphs.fold_in import fold_in_graph, item_vectors
from ncf.graphs.initializers import read_initializers
from ncf.graphs.new_items import with_new_items
from ncf.identifiers import IdMap
from ncf.models.weights import Weights
from ncf.proof.reference import PairScorer, graph_scorer
from ncf.scoring import bundle as files
from ncf.scoring.manifest import NewItems
from ncf.scoring.screen_manifest import NoScreen, Screen
from ncf.scoring.sessions import open_cpu

Indices = npt.NDArray[np.int64]

_LAYERS = 5
NAMES = [
    *(f"{branch}.{side}.weight" for branch in ("gmf", "mlp") for side in ("user", "item")),
    *(f"mlp.tower.{layer}.{part}" for layer in range(_LAYERS) for part in ("weight", "bias")),
    *("output.weight", "output.bias"),
]
"""Names that weights may have in a graph."""
_REMEDY = "export the model again, from its checkpoint"


@dataclass(frozen=True)
class Growth:
    """New items of a bundle, and who took them.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    items : tuple of str
        Raw ids of the new items, in the order of the file.
    titles : tuple of str or None
        Their titles, where known.
    takers, taken : int64 arrays of shape (pairs,)
        User index, and number of the new item, of distinct pairs.
    counts : NewItems
        Facts for ``bundle.json``.
    """

    bundle: files.Bundle
    items: tuple[str, ...]
    titles: tuple[str | None, ...]
    takers: Indices
    taken: Indices
    counts: NewItems


def read_growth(bundle: files.Bundle, path: Path, titles: dict[str, str] | None) -> Growth:
    """Read who took the new items.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    path : Path
        Interactions, as ``ncf data prepare`` takes them. Those of known items, and of users
        whom the model does not know, are counted and left out.
    titles : dict, optional
        Titles by raw item id.

    Raises
    ------
    ArtifactError
        The bundle has no map of items.
    UsageError
        No new item is left.
    """
    if not bundle.folds_in:
        raise ArtifactError("has no map of items", where=bundle.path, remedy=_REMEDY)
    users, items = read_pairs(path)
    user_of = find(bundle.users, users.dictionary)
    user_of[np.isin(user_of, bundle.cold)] = -1
    item_of = find(bundle.items, items.dictionary)
    who = user_of[users.indices.to_numpy().astype(np.int64)]
    which = items.indices.to_numpy().astype(np.int64)
    new = item_of[which] < 0
    kept = new & (who >= 0)
    if not kept.any():
        raise UsageError(
            "no item is both new and taken by a user whom the model knows",
            where=path,
            remedy="give interactions of today's items, with the ids of the ratings file",
        )
    distinct, numbers = np.unique(which[kept], return_inverse=True)
    pairs = np.unique(np.stack([who[kept], numbers], axis=1), axis=0)
    raw = items.dictionary.take(distinct).to_pylist()
    counts = NewItems(
        parent=bundle.digest,
        file=digest_of(path),
        items=len(raw),
        pairs=len(pairs),
        items_without_known_users=int(np.unique(which[new]).size - distinct.size),
        rows_of_known_items=int(np.count_nonzero(~new)),
    )
    named = tuple((titles or {}).get(each) for each in raw)
    return Growth(bundle, tuple(raw), named, pairs[:, 0], pairs[:, 1], counts)


def write_grown(growth: Growth, folder: Path, name: str) -> dict[str, Any]:
    """Fill an empty folder with the grown bundle and seal it.

    Returns
    -------
    dict
        As :func:`export.bundle.write_bundle` does; differences are from the old graph, and from
        NumPy for new items.

    Raises
    ------
    ParityError
        A graph differs.
    """
    old = growth.bundle
    weights = _grown_weights(growth)
    seen, unlearned = _grown_pairs(growth)
    items = IdMap(
        [*old.items.raw, *growth.items],
        [*(old.items.title(item) for item in range(old.n_items)), *growth.titles],
    )
    popular = by_popularity(np.bincount(seen.indices, minlength=seen.shape[1]))
    write_contents(Contents(weights, old.users, items, seen, popular, old.cold), folder)
    rows = map_npy(folder / files.USER_ROWS_FILE)
    screen = old.manifest.screen
    if isinstance(screen, Screen):
        screen = _write_screen(weights, rows, seen, folder)
    (matrix,) = read_initializers(old.path / files.FOLD_IN_GRAPH, ("map",)).values()
    (folder / files.FOLD_IN_GRAPH).write_bytes(fold_in_graph(item_vectors(weights), matrix))
    shutil.copyfile(old.path / files.ITEM_MAP_FILE, folder / files.ITEM_MAP_FILE)
    write_pairs(unlearned, folder / files.UNLEARNED_FILE)
    model = replace(old.manifest.model, n_items=seen.shape[1], interactions=seen.nnz)
    facts: dict[str, Any] = {"model": model, "screen": screen, "new_items": growth.counts}
    manifest = replace(old.manifest, digest="", files={}, **facts)
    recipe = recipe_of((old.path / files.CARD_FILE).read_text(encoding="utf-8"))
    added = {"new_items": growth.counts.items, "new_pairs": growth.counts.pairs}
    score = _old_scorer(old, weights, rows)
    return prove_and_seal(folder, name, manifest, score, recipe, added)


def _grown_weights(growth: Growth) -> Weights:
    old = growth.bundle
    weights = read_initializers(old.score_graph, NAMES)
    item_map = old.item_map
    if item_map is None:
        raise ArtifactError("has no map of items", where=old.path, remedy=_REMEDY)
    takers = {number: growth.takers[growth.taken == number] for number in range(len(growth.items))}
    return with_new_items(weights, old.user_rows, item_map, takers)


def _grown_pairs(growth: Growth) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Add the new pairs to those that users have seen, and to those that the rows never learned."""
    old = growth.bundle
    shape = (old.n_users, old.n_items + len(growth.items))
    added = (growth.takers, old.n_items + growth.taken)
    before = [
        np.empty((0, 2), np.int64) if each is None else each.pairs(np.arange(old.n_users))
        for each in (old.seen, old.unlearned)
    ]
    found = []
    for pairs in before:
        users, items = (np.concatenate([pairs[:, side], added[side]]) for side in (0, 1))
        matrix = sparse.csr_array((np.ones(users.size, np.int8), (users, items)), shape=shape)
        matrix.sort_indices()
        found.append(matrix)
    return found[0], found[1]


def _write_screen(
    weights: Weights, rows: npt.NDArray[np.float32], seen: sparse.csr_array, folder: Path
) -> Screen | NoScreen:
    screen = make_screen(weights, rows, seen)
    for name, content in screen.graphs.items():
        (folder / name).write_bytes(content)
    return screen.facts


def _old_scorer(old: files.Bundle, weights: Weights, rows: npt.NDArray[np.float32]) -> PairScorer:
    """Score known items by the old graph, and new ones by NumPy."""
    known, by_rows = graph_scorer(open_cpu(old.score_graph)), RowScores(weights)

    def score(users: Indices, items: Indices) -> npt.NDArray[np.float32]:
        logits = np.empty(users.size, np.float32)
        is_old = items < old.n_items
        logits[is_old] = known(users[is_old], items[is_old])
        logits[~is_old] = by_rows(rows[users[~is_old]], items[~is_old][:, None])[:, 0]
        return logits

    return score
