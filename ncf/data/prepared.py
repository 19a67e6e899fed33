"""Read and write prepared data: a sealed folder of id maps, splits and sampled negatives."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ncf.arrays import map_npy
from ncf.artifacts import open_sealed, seal
from ncf.columns import Columns
from ncf.data.interactions import Cases, Interactions
from ncf.data.manifests import DATA, DataManifest
from ncf.data.options import SplitKind
from ncf.data.tables import read_id_table, write_id_table
from ncf.data.time_split import iso
from ncf.errors import ArtifactError
from ncf.identifiers import IdMap
from ncf.records import json_values

USERS_FILE = "users.parquet"
ITEMS_FILE = "items.parquet"


@dataclass(frozen=True)
class PreparedData:
    """Prepared data, as training and evaluation read it.

    Parameters
    ----------
    users, items : IdMap
        Raw ids by index.
    train : Interactions
        Training pairs.
    validation, test : Cases
        Cases with sampled negatives.
    manifest : DataManifest
        Options, counts, digests.
    """

    users: IdMap
    items: IdMap
    train: Interactions
    validation: Cases
    test: Cases
    manifest: DataManifest

    @property
    def digest(self) -> str:
        """Digest that stands for all the data, 64 hex digits."""
        return self.manifest.digest

    def interactions(self) -> Interactions:
        """All interactions, users ascending: of each user training, validation, then test."""
        joined = self.train.join(self.validation.positives, self.test.positives)
        return joined.take(np.argsort(joined.users, kind="stable"))

    def joined(self) -> "PreparedData":
        """Put every interaction into the training part, for the refit.

        The other parts stay as they are, but their figures would mean nothing.
        """
        return replace(self, train=self.interactions())

    @property
    def has_negatives(self) -> bool:
        """Whether test cases have sampled negatives; those of a given split have none."""
        return self.test.negatives.shape[1] > 0 or not len(self.test.positives)

    def measured(self) -> npt.NDArray[np.bool_]:
        """Whether each user is measured if there is a test item: those with a training pair.

        Of a given split all are, so that figures can be compared with those of others.
        """
        if self.manifest.options.split is SplitKind.GIVEN:
            return np.ones(len(self.users), np.bool_)
        return self.trained()

    def trained(self) -> npt.NDArray[np.bool_]:
        """Whether each user has a training pair; a random split leaves some without, cold."""
        return np.bincount(self.train.users, minlength=len(self.users)) > 0


def write_interactions(folder: Path, part: str, interactions: Interactions) -> None:
    """Write the pairs of one part as ``PART.parquet``."""
    table = pa.table({Columns.USER: interactions.users, Columns.ITEM: interactions.items})
    pq.write_table(table, folder / f"{part}.parquet", compression="zstd")


def negatives_path(folder: Path, part: str) -> Path:
    """Path of the file with the negatives of a part."""
    return folder / f"{part}_negatives.npy"


def seal_data(folder: Path, users: IdMap, items: IdMap, manifest: DataManifest) -> str:
    """Write the id maps and the manifest; returns the data's digest."""
    write_id_table(folder / USERS_FILE, users, Columns.USER_ID)
    write_id_table(folder / ITEMS_FILE, items, Columns.ITEM_ID)
    return seal(folder, DATA, json_values(manifest))


def figures_of(manifest: DataManifest, digest: str) -> dict[str, object]:
    """Figures for people: sizes, what was read, left out and split, and the data's ``digest``."""
    sizes = {"users": manifest.n_users, "items": manifest.n_items}
    counts = json_values(manifest.counts)
    if manifest.counts.test_from is not None:
        counts["test_from"] = iso(manifest.counts.test_from)
    return {**sizes, **counts, "digest": digest}


def open_data(folder: Path) -> PreparedData:
    """Open prepared data. Every digest is checked; negatives are memory-mapped, not read.

    Raises
    ------
    ArtifactError
        Something is missing or damaged.
    """
    manifest = open_sealed(folder, DATA)
    try:
        return _read(folder, manifest)
    except Exception as error:  # Arrow and NumPy raise many classes on damaged bytes
        raise ArtifactError(
            f"cannot be understood ({error})", where=folder, remedy=DATA.remedy
        ) from error


def _read(folder: Path, manifest: DataManifest) -> PreparedData:
    users = read_id_table(folder / USERS_FILE, Columns.USER_ID)
    items = read_id_table(folder / ITEMS_FILE, Columns.ITEM_ID)
    split = manifest.options.split

    def pairs(part: str) -> Interactions:
        table = pq.read_table(folder / f"{part}.parquet")
        pair = (table[Columns.USER].to_numpy(), table[Columns.ITEM].to_numpy())
        return Interactions(*pair, len(users), len(items))

    def cases(part: str) -> Cases:
        path, positives = negatives_path(folder, part), pairs(part)
        # An empty array cannot be mapped; the test part of a given split has no negatives.
        empty = not len(positives) or (part == "test" and split is SplitKind.GIVEN)
        negatives = np.load(path, allow_pickle=False) if empty else map_npy(path)
        if negatives.dtype != np.int32 or negatives.shape[:-1] != (len(positives),):
            raise ValueError(f"{path.name} does not hold one row of int32 for each case")
        if not (negatives.min(initial=0) >= -1 and negatives.max(initial=-1) < len(items)):
            raise ValueError(f"{path.name} holds an item out of range")
        return Cases(positives, negatives)

    return PreparedData(users, items, pairs("train"), cases("validation"), cases("test"), manifest)
