"""Export a bundle again without one user: their id, row, embedding and history; no training."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.contents import Contents, by_popularity, write_contents, write_pairs
from export.growth import NAMES
from export.model_card import recipe_of
from export.screen.assembly import make_screen
from export.sealing import prove_and_seal
from ncf.arrays import map_npy
from ncf.errors import UsageError
from ncf.graphs.initializers import read_initializers
from ncf.identifiers import IdMap
from ncf.models.weights import Weights
from ncf.proof.reference import PairScorer, graph_scorer
from ncf.scoring import bundle as files
from ncf.scoring.screen_manifest import Screen
from ncf.scoring.seen import Seen
from ncf.scoring.sessions import open_cpu


@dataclass(frozen=True)
class Forgetting:
    """A bundle, and the user who is to leave it.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    user : int
        Index of the user.

    Raises
    ------
    UsageError
        Nobody else is left.
    """

    bundle: files.Bundle
    user: int

    def __post_init__(self) -> None:
        """Check that somebody is left."""
        if self.bundle.n_users < 2:
            raise UsageError(
                "has no other user", where=self.bundle.path, remedy="remove the whole bundle"
            )

    @property
    def others(self) -> npt.NDArray[np.int64]:
        """Indices of all others, ascending."""
        return np.delete(np.arange(self.bundle.n_users, dtype=np.int64), self.user)

    def weights(self) -> Weights:
        """Read the weights, without the user's embeddings."""
        found = read_initializers(self.bundle.score_graph, NAMES)
        return {
            name: np.delete(array, self.user, axis=0) if ".user." in name else array
            for name, array in found.items()
        }

    def pairs(self, pairs: Seen) -> sparse.csr_array:
        """Take the pairs of all others."""
        rows, items = pairs.pairs(self.others).T
        shape = (self.bundle.n_users - 1, self.bundle.n_items)
        matrix = sparse.csr_array((np.ones(rows.size, np.int8), (rows, items)), shape=shape)
        matrix.sort_indices()
        return matrix

    def ids(self) -> IdMap:
        """Take the ids of all others."""
        raw = self.bundle.users.raw
        return IdMap([*raw[: self.user], *raw[self.user + 1 :]])

    def cold(self) -> npt.NDArray[np.int64]:
        """Find the others who have no training pair, by their new indices."""
        cold = self.bundle.cold[self.bundle.cold != self.user]
        shifted: npt.NDArray[np.int64] = cold - (cold > self.user)
        return shifted

    def score(self) -> PairScorer:
        """Score by the graph of before."""
        known, others = graph_scorer(open_cpu(self.bundle.score_graph)), self.others

        def scored(
            users: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
        ) -> npt.NDArray[np.float32]:
            return known(others[users], items)

        return scored


def write_without(forgetting: Forgetting, folder: Path, name: str) -> dict[str, Any]:
    """Fill an empty folder with the bundle of all others and seal it.

    The lists of all others are those of before: the graphs are proven against the one of before.

    Returns
    -------
    dict
        As :func:`export.bundle.write_bundle` does.

    Raises
    ------
    ParityError
        A graph differs.
    """
    old, weights = forgetting.bundle, forgetting.weights()
    seen = forgetting.pairs(old.seen)
    popular = by_popularity(np.bincount(seen.indices, minlength=old.n_items))
    cold = forgetting.cold()
    write_contents(Contents(weights, forgetting.ids(), old.items, seen, popular, cold), folder)
    screen = old.manifest.screen
    if isinstance(screen, Screen):
        made = make_screen(weights, map_npy(folder / files.USER_ROWS_FILE), seen)
        screen = made.facts
        for graph, content in made.graphs.items():
            (folder / graph).write_bytes(content)
    for file in (files.FOLD_IN_GRAPH, files.ITEM_MAP_FILE):
        if (old.path / file).is_file():  # of items alone
            shutil.copyfile(old.path / file, folder / file)
    if old.unlearned is not None:
        write_pairs(forgetting.pairs(old.unlearned), folder / files.UNLEARNED_FILE)
    model = replace(old.manifest.model, n_users=old.n_users - 1, interactions=seen.nnz)
    manifest = replace(old.manifest, digest="", files={}, model=model, screen=screen)
    recipe = recipe_of((old.path / files.CARD_FILE).read_text(encoding="utf-8"))
    return prove_and_seal(folder, name, manifest, forgetting.score(), recipe, {})
