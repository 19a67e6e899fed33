"""Write a bundle: everything that its users need, and nothing that runs code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from export.contents import Contents, by_popularity, write_contents, write_pairs
from export.description import described
from export.fold_in.assembly import NOT_WANTED as NOT_FOLDED_IN
from export.fold_in.assembly import Honest, make_fold_in
from export.fold_in.assembly import summary as worth_of_fold_in
from export.screen.assembly import NOT_WANTED, make_screen
from export.sealing import prove_and_seal
from export.source import Source
from ncf.arrays import map_npy
from ncf.data.interactions import Interactions
from ncf.models.scorer import scorer
from ncf.scoring import bundle as files
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn
from ncf.scoring.screen_manifest import NoScreen, Screen


def write_bundle(source: Source, folder: Path, name: str) -> dict[str, Any]:
    """Fill an empty folder with a bundle and seal it.

    Parameters
    ----------
    source : Source
        Model and data.
    folder : Path
        An empty folder.
    name : str
        Name of the model, for the model card.

    Returns
    -------
    dict
        Largest difference from PyTorch by graph, the ``screen`` and ``fold_in`` or why there is
        none, and the bundle's ``digest``.

    Raises
    ------
    ParityError
        A graph and PyTorch disagree.
    """
    checkpoint, data = source.exported, source.data
    interactions = data.interactions()
    counts = np.bincount(interactions.items, minlength=interactions.n_items)
    contents = Contents(
        weights=checkpoint.weights,
        users=checkpoint.users,
        items=checkpoint.items,
        seen=interactions.csr(),
        popular=by_popularity(counts),
        cold=np.flatnonzero(~source.trained_users()).astype(np.int64),
    )
    write_contents(contents, folder)
    screen = _write_screen(source, interactions, folder)
    fold_in = _write_fold_in(source, interactions, folder)
    manifest = described(source, len(interactions), screen, fold_in)
    recipe = json.dumps(checkpoint.manifest.recipe, indent=2, sort_keys=True)
    said = {"fold_in": worth_of_fold_in(fold_in)}
    return prove_and_seal(folder, name, manifest, scorer(checkpoint.model()), recipe, said)


def _write_screen(source: Source, interactions: Interactions, folder: Path) -> Screen | NoScreen:
    if not source.screen:
        return NOT_WANTED
    rows = map_npy(folder / files.USER_ROWS_FILE)
    screen = make_screen(source.exported.weights, rows, interactions.csr())
    for name, content in screen.graphs.items():
        (folder / name).write_bytes(content)
    return screen.facts


def _write_fold_in(
    source: Source, interactions: Interactions, folder: Path
) -> FoldInFacts | NoFoldIn:
    """Write what folds strangers in, and the pairs that the rows never learned."""
    if not source.fold_in:
        return NOT_FOLDED_IN
    exported, rows = source.exported, map_npy(folder / files.USER_ROWS_FILE)
    learned = interactions.csr() if exported.saw_all else source.data.train.csr()
    honest = None
    if source.checkpoint.has_figures:
        honest = Honest(source.checkpoint.weights, source.data)
    found = make_fold_in(exported.weights, rows, learned, honest, source.min_history)
    if isinstance(found.facts, NoFoldIn):
        return found.facts
    (folder / files.FOLD_IN_GRAPH).write_bytes(found.graph)
    np.save(folder / files.ITEM_MAP_FILE, found.item_map)
    unlearned = sparse.csr_array(interactions.csr() - learned)
    unlearned.eliminate_zeros()
    if unlearned.nnz:
        write_pairs(unlearned, folder / files.UNLEARNED_FILE)
    return found.facts
