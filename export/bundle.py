"""Write a bundle: everything a consumer needs, and nothing that runs code."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from export.graphs import score_graph
from export.parity import require_parity
from ncf.artifacts import BUNDLE, seal, sealed_folder
from ncf.columns import Columns
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.files import writer_lock
from ncf.scoring.bundle import ITEMS_FILE, POPULAR_FILE, SCORE_GRAPH, SEEN_FILE, USERS_FILE
from ncf.training.checkpoint import Checkpoint


def export_bundle(checkpoint: Checkpoint, data: PreparedData, target: Path) -> dict[str, Any]:
    """Export a checkpoint; the old bundle stays until the new one is whole and proven equal.

    Parameters
    ----------
    checkpoint : Checkpoint
        The trained model.
    data : PreparedData
        What it was trained on: gives the seen items and their popularity.
    target : Path
        Bundle folder.

    Returns
    -------
    dict
        The parity report and the bundle's ``digest``.

    Raises
    ------
    ArtifactError
        The checkpoint was trained on other data.
    ParityError
        The graph and PyTorch disagree; nothing is published.
    """
    checkpoint.require_data(data)
    with writer_lock(target), sealed_folder(target, BUNDLE) as folder:
        graph = score_graph(checkpoint)
        parity = require_parity(graph, checkpoint)
        (folder / SCORE_GRAPH).write_bytes(graph)
        checkpoint.users.write(folder / USERS_FILE, Columns.USER_ID)
        checkpoint.items.write(folder / ITEMS_FILE, Columns.ITEM_ID)
        known = data.known()
        sparse.save_npz(folder / SEEN_FILE, known.csr())
        np.save(folder / POPULAR_FILE, by_popularity(known))
        architecture = checkpoint.architecture
        document = {
            "model": {
                "kind": architecture.kind.value,
                "n_users": architecture.n_users,
                "n_items": architecture.n_items,
                "factors": architecture.factors,
                "layers": architecture.layers,
            },
            "parity": {SCORE_GRAPH: parity.document()},
            "validation": checkpoint.manifest["validation"],
            "provenance": {
                "checkpoint": checkpoint.digest,
                "data": data.digest,
                "source": data.manifest["source"],
            },
        }
        digest = seal(folder, BUNDLE, document)
    return {**parity.document(), "digest": digest}


def by_popularity(known: Interactions) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Item indices from the most to the least interacted with; ties by ascending index."""
    counts = np.bincount(known.items, minlength=known.n_items)
    return np.argsort(-counts, kind="stable").astype(np.int32)
