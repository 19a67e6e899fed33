"""Open bundles: check every digest at once, and read each file when it is first needed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ncf.arrays import map_npy
from ncf.artifacts import open_sealed
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.identifiers import IdMap, read_id_maps
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.scoring.manifest import BUNDLE, BundleManifest
from ncf.scoring.screen_manifest import Screen
from ncf.scoring.seen import Seen

SCORE_GRAPH = "score.onnx"
TOPK_GRAPHS = {Device.CPU: "topk.onnx", Device.CUDA: "topk.cuda.onnx"}  # by form
SCREEN_GRAPH = "screen.onnx"
RESCORE_GRAPH = "rescore.onnx"
USER_ROWS_FILE = "users.npy"
IDS_FILE = "ids.npz"
USERS_FILE = "users.parquet"
ITEMS_FILE = "items.parquet"
SEEN_FILE = "seen.npz"
POPULAR_FILE = "popular.npy"
FOLD_IN_GRAPH = "foldin.onnx"
ITEM_MAP_FILE = "item_map.npy"
UNLEARNED_FILE = "unlearned.npz"  # only where there is such a pair
COLD_FILE = "cold.npy"  # only where there is such a user
GOLDEN_FILE = "golden.json"
CARD_FILE = "MODEL_CARD.md"
SCREEN_FILES = {SCREEN_GRAPH, RESCORE_GRAPH}  # both or none
FOLD_IN_FILES = {FOLD_IN_GRAPH, ITEM_MAP_FILE}  # likewise
REQUIRED = {
    SCORE_GRAPH,
    *TOPK_GRAPHS.values(),
    USER_ROWS_FILE,
    IDS_FILE,
    USERS_FILE,
    ITEMS_FILE,
    SEEN_FILE,
    POPULAR_FILE,
    GOLDEN_FILE,
    CARD_FILE,
}


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    manifest : BundleManifest
        Kind and sizes of the model, parity, provenance.
    """

    path: Path
    manifest: BundleManifest

    @property
    def digest(self) -> str:
        """Digest of the whole bundle, 64 hex digits."""
        return self.manifest.digest

    @property
    def n_users(self) -> int:
        """Count of trained users."""
        return self.manifest.model.n_users

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self.manifest.model.n_items

    @property
    def has_screen(self) -> bool:
        """Whether the bundle has a screened graph; if not, ``manifest.screen`` says why."""
        return isinstance(self.manifest.screen, Screen)

    @property
    def folds_in(self) -> bool:
        """Whether strangers can be folded in; if not, ``manifest.fold_in`` says why."""
        return isinstance(self.manifest.fold_in, FoldInFacts)

    @property
    def score_graph(self) -> Path:
        """Path of the graph ``user[n] int64, item[n] int64 -> logit[n] float32``."""
        return self.path / SCORE_GRAPH

    def topk_graph(self, device: Device) -> Path | bytes:
        """Find the graph from user rows, seen pairs and k to item indices and logits, for a device.

        On a CPU a loop over users keeps the tower in the cache. On CUDA that would be thousands
        of small kernels, so that form takes a block of users at once.
        """
        return self.path / TOPK_GRAPHS[device]

    @cached_property
    def user_rows(self) -> npt.NDArray[np.float32]:
        """User rows, as the top-K graph takes them; memory-mapped."""
        rows: npt.NDArray[np.float32] = map_npy(self.path / USER_ROWS_FILE)
        return rows

    @cached_property
    def ids(self) -> tuple[IdMap, IdMap]:
        """Raw ids of users and items, and titles where known, by index."""
        users, items = read_id_maps(self.path / IDS_FILE, ("users", "items"))
        return users, items

    @property
    def users(self) -> IdMap:
        """Raw user ids by index."""
        return self.ids[0]

    @property
    def items(self) -> IdMap:
        """Raw item ids, and titles where known, by index."""
        return self.ids[1]

    @cached_property
    def seen(self) -> Seen:
        """The items that each user has seen."""
        return Seen.read(self.path / SEEN_FILE)

    @cached_property
    def unlearned(self) -> Seen | None:
        """Pairs that users have seen and the rows were not trained on; None if there is none."""
        path = self.path / UNLEARNED_FILE
        return Seen.read(path) if path.is_file() else None

    @cached_property
    def cold(self) -> npt.NDArray[np.int64]:
        """Indices of users without a training pair, ascending: the model would give them noise.

        Bundles of before do not tell: there nobody is cold.
        """
        path = self.path / COLD_FILE
        if not path.is_file():
            return np.empty(0, np.int64)
        cold: npt.NDArray[np.int64] = np.load(path, allow_pickle=False)
        return cold

    def is_cold(self, user: int) -> bool:
        """Whether the model has no training pair of a user."""
        if not self.cold.size:
            return False
        place = int(self.cold.searchsorted(user))
        return place < self.cold.size and int(self.cold[place]) == user

    @property
    def eligibility(self) -> Eligibility:
        """Items that users may get at the time of the export: all except those seen."""
        return Eligibility.whole_catalogue(self.n_items, self.seen)

    @cached_property
    def item_map(self) -> npt.NDArray[np.float32] | None:
        """Map that makes vectors of new items, float32 ``(3 d + 3, v)``; None if not held."""
        path = self.path / ITEM_MAP_FILE
        return _read_array(path) if path.is_file() else None

    @cached_property
    def popular(self) -> npt.NDArray[np.int32]:
        """Item indices, most popular first."""
        popular: npt.NDArray[np.int32] = _read_array(self.path / POPULAR_FILE)
        return popular


def _read_array(path: Path) -> npt.NDArray[Any]:
    with path.open("rb") as file:  # np.load leaves junk open
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def open_bundle(path: Path) -> Bundle:
    """Open a bundle; every digest is checked first.

    Raises
    ------
    ArtifactError
        A file is missing, extra or damaged, the schema is newer, or sizes do not fit together.
    """
    bundle = Bundle(path, open_sealed(path, BUNDLE))
    try:
        required = REQUIRED | (SCREEN_FILES if bundle.has_screen else set())
        required |= FOLD_IN_FILES if bundle.folds_in else set()
        missing = required - bundle.manifest.files.keys()
        fits = missing or _fits(bundle)
    except Exception as error:  # NumPy and zipfile raise many classes on damaged bytes
        raise ArtifactError(
            f"a part is missing or unreadable ({error})", where=path, remedy=BUNDLE.remedy
        ) from error
    if missing:
        raise ArtifactError(
            "file of the bundle is missing", where=path / min(missing), remedy=BUNDLE.remedy
        )
    if not fits:
        raise ArtifactError("its files do not fit together", where=path, remedy="export it again")
    return bundle


def _fits(bundle: Bundle) -> bool:
    """Whether every array has the type, size and bounds that the manifest requires."""
    sizes = (bundle.n_users, bundle.n_items)
    return bool(
        bundle.seen.shape == sizes
        and (len(bundle.users), len(bundle.items)) == sizes
        and bundle.users.is_sound()
        and bundle.items.is_sound()
        and bundle.user_rows.shape == (sizes[0], bundle.manifest.model.row_width)
        and bundle.user_rows.dtype == np.float32
        and bundle.popular.dtype == np.int32
        and np.array_equal(np.sort(bundle.popular), np.arange(sizes[1]))
        and bundle.seen.within_bounds()
        and _is_sound(bundle.cold, sizes[0])
        and (bundle.unlearned is None or _fits_seen(bundle.unlearned, sizes))
        and (bundle.item_map is None or _is_map(bundle.item_map, bundle.manifest.model.row_width))
    )


def _fits_seen(pairs: Seen, sizes: tuple[int, int]) -> bool:
    return pairs.shape == sizes and pairs.within_bounds()


def _is_map(array: npt.NDArray[Any], width: int) -> bool:
    """Whether an array maps features of rows of some width, and all of its numbers are finite."""
    fits = array.ndim == 2 and array.shape[0] == 3 * width + 3 and array.dtype == np.float32
    return fits and bool(np.isfinite(array).all())


def _is_sound(cold: npt.NDArray[np.int64], n_users: int) -> bool:
    """Whether indices are users, ascending, each once."""
    fits = cold.ndim == 1 and cold.dtype == np.int64
    steps = np.diff(cold, prepend=-1, append=n_users) if fits else np.zeros(1)
    return bool((steps > 0).all())
