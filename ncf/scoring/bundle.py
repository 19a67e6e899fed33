"""A bundle on disk: opened, every digest checked, its parts read when first asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.artifacts import BUNDLE, Document, open_sealed
from ncf.columns import Columns
from ncf.data.identifiers import IdMap
from ncf.errors import ArtifactError

SCORE_GRAPH = "score.onnx"
USERS_FILE = "users.parquet"
ITEMS_FILE = "items.parquet"
SEEN_FILE = "seen.npz"
POPULAR_FILE = "popular.npy"


@dataclass(frozen=True)
class Bundle:
    """An exported model.

    Parameters
    ----------
    path : Path
        Its folder.
    manifest : dict
        Model kind and sizes, parity report, provenance.
    """

    path: Path
    manifest: Document

    @property
    def digest(self) -> str:
        """Digest that stands for the whole bundle, 64 hex digits."""
        digest: str = self.manifest["digest"]
        return digest

    @property
    def score_graph(self) -> Path:
        """``user[n] int64, item[n] int64 -> logit[n] float32``."""
        return self.path / SCORE_GRAPH

    @cached_property
    def users(self) -> IdMap:
        """Raw user ids by index."""
        return IdMap.read(self.path / USERS_FILE, Columns.USER_ID)

    @cached_property
    def items(self) -> IdMap:
        """Raw item ids, and titles where known, by index."""
        return IdMap.read(self.path / ITEMS_FILE, Columns.ITEM_ID)

    @cached_property
    def seen(self) -> sparse.csr_array:
        """Users by items; stored entries are known interactions, ascending within a user."""
        return sparse.csr_array(sparse.load_npz(self.path / SEEN_FILE))

    @cached_property
    def popular(self) -> npt.NDArray[np.int32]:
        """Item indices from the most to the least popular."""
        popular: npt.NDArray[np.int32] = np.load(self.path / POPULAR_FILE, allow_pickle=False)
        return popular


def open_bundle(path: Path) -> Bundle:
    """Open a bundle; every digest is checked before anything is read.

    Raises
    ------
    ArtifactError
        A file is missing, extra or damaged, the schema is newer, or sizes do not fit together.
    """
    bundle = Bundle(path, open_sealed(path, BUNDLE))
    model = bundle.manifest["model"]
    sizes = (model["n_users"], model["n_items"])
    if bundle.seen.shape != sizes or (len(bundle.users), len(bundle.items)) != sizes:
        raise ArtifactError("its files differ in size", where=path, remedy="export it again")
    return bundle
