"""Read and write checkpoints: sealed folders of weights, recipe, id maps and history, no code."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.numpy import load_file, save
from torch import nn

from ncf.artifacts import open_sealed, seal, sealed_folder
from ncf.columns import Columns
from ncf.data.prepared import ITEMS_FILE, USERS_FILE, PreparedData
from ncf.data.tables import read_id_table, write_id_table
from ncf.errors import ArtifactError, UsageError
from ncf.identifiers import IdMap
from ncf.models.architecture import Architecture, build
from ncf.models.networks import Network
from ncf.models.weights import Weights
from ncf.records import json_values
from ncf.training.history import HISTORY_FILE, history_bytes
from ncf.training.learned import LEARNED_FILE, Learned, read_learned
from ncf.training.manifest import CHECKPOINT, CheckpointManifest, TrainedOn
from ncf.training.trained import Trained
from ncf.training.weight_checks import check_finite, check_shapes

WEIGHTS_FILE = "model.safetensors"
PRODUCT_FILE = "product.safetensors"
PICTURE_FILE = "training.png"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network in an opened and checked folder.

    It has one or two sets of weights: the honest ones, which have never seen what was held out, and
    those of the product, trained on everything.

    Parameters
    ----------
    path : Path
        Folder of the checkpoint.
    architecture : Architecture
        Kind and sizes of the network.
    weights : dict
        Float32 arrays by parameter name, all finite: the honest ones, unless this is what
        :meth:`exported` gave.
    users, items : IdMap
        Raw ids by index.
    manifest : CheckpointManifest
        Variant, recipe, data digest, best epoch, metrics.
    product : dict or None
        Weights that were trained on everything; None if there are none.
    saw_all : bool
        Whether ``weights`` have seen the rows that were held out.
    """

    path: Path
    architecture: Architecture
    weights: Weights
    users: IdMap
    items: IdMap
    manifest: CheckpointManifest
    product: Weights | None = None
    saw_all: bool = False

    @property
    def digest(self) -> str:
        """Digest that stands for the whole checkpoint, 64 hex digits."""
        return self.manifest.digest

    def model(self) -> Network:
        """Build the network, in evaluation mode, on the CPU."""
        model = build(self.architecture)
        model.load_state_dict({name: torch.from_numpy(w) for name, w in self.weights.items()})
        return model.eval()

    def exported(self) -> "Checkpoint":
        """Give the checkpoint with the weights to export: the product's, or else the honest ones.

        What it gives has no figures: :meth:`require_honest` refuses it if it has seen everything.
        """
        if self.product is None:
            return self
        return replace(self, weights=self.product, saw_all=True)

    def learned(self) -> Learned | None:
        """Read what the weights were trained on; None in a checkpoint of before.

        Raises
        ------
        ArtifactError
            It is not readable.
        """
        try:
            return read_learned(self.path, len(self.users), len(self.items))
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"not readable ({error})", where=self.path / LEARNED_FILE, remedy=CHECKPOINT.remedy
            ) from error

    @property
    def has_figures(self) -> bool:
        """Whether the honest weights can be measured: nothing they come from saw the test part."""
        return self.manifest.warm is None or not self.manifest.warm.learned_test

    def require_honest(self) -> None:
        """Refuse to measure weights on test rows that they were trained on.

        Raises
        ------
        UsageError
            The weights were trained on everything, or weights that they started from were trained
            on some of the test rows.
        """
        warm = self.manifest.warm
        if warm is not None and not self.has_figures:
            raise UsageError(
                f"{warm.learned_test:,} test rows were training rows of a model that this one was "
                "warm-started from: figures on these say nothing",
                where=self.path,
                remedy="split by time, so that what was trained on stays in training, or train "
                "without `warm_start`",
            )
        if self.saw_all:
            raise UsageError(
                "the product weights were trained on the test rows: figures on these say nothing",
                where=self.path,
                remedy="measure the honest weights of the checkpoint",
            )

    def require_data(self, data: PreparedData) -> None:
        """Refuse data that differs from what this checkpoint was trained on.

        Raises
        ------
        ArtifactError
            The digests differ; the message gives both.
        """
        trained = self.manifest.data.digest
        if trained != data.digest:
            raise ArtifactError(
                f"trained on data {trained[:12]}, but given data {data.digest[:12]}",
                where=self.path,
                remedy="give the data it was trained on, or train again",
            )


def write_checkpoint(target: Path, trained: Trained, data: PreparedData) -> str:
    """Write a checkpoint, whole or not at all, and return its digest.

    Parameters
    ----------
    target : Path
        Folder to write.
    trained : Trained
        Result of the training.
    data : PreparedData
        Data of the training, which gives the id maps and the digest.

    Raises
    ------
    ArtifactError
        A weight is NaN or infinite.
    """
    check_finite(trained.weights, target)
    outcome, product = trained.outcome, trained.product
    if product is not None:
        check_finite(product.weights, target)
    manifest = CheckpointManifest(
        architecture=trained.architecture,
        data=TrainedOn(data.digest, data.manifest.source),
        variant=outcome.variant,
        recipe=outcome.recipe,
        validation=outcome.validation,
        parents=outcome.parents,
        mix=outcome.mix,
        finished=outcome.finished,
        origins=outcome.origins,
        product=None if product is None else product.facts,
        warm=outcome.warm,
        tried=outcome.tried,
    )
    learned = Learned.of(data) if trained.learned is None else trained.learned
    with sealed_folder(target, CHECKPOINT) as folder:
        # Not save_file: its files are private to the user, and its errors are not OSError.
        (folder / WEIGHTS_FILE).write_bytes(save(trained.weights))
        if product is not None:
            (folder / PRODUCT_FILE).write_bytes(save(product.weights))
        write_id_table(folder / USERS_FILE, data.users, Columns.USER_ID)
        write_id_table(folder / ITEMS_FILE, data.items, Columns.ITEM_ID)
        learned.write(folder)
        (folder / HISTORY_FILE).write_bytes(
            history_bytes(trained.outcome.validation.protocol or "sampled", trained.history)
        )
        if trained.picture is not None:
            (folder / PICTURE_FILE).write_bytes(trained.picture)
        return seal(folder, CHECKPOINT, json_values(manifest))


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint; every digest, shape and weight is checked.

    Raises
    ------
    ArtifactError
        A file is missing, damaged or pickled, or a weight has another shape, or is NaN or
        infinite.
    """
    if path.is_file():
        raise ArtifactError(
            "a file, not a checkpoint folder (pickled checkpoints are never loaded)",
            where=path,
            remedy="give a folder that 'ncf train' made",
        )
    manifest = open_sealed(path, CHECKPOINT)
    architecture = manifest.architecture
    try:
        weights = load_file(path / WEIGHTS_FILE)
        product = None if manifest.product is None else load_file(path / PRODUCT_FILE)
        users = read_id_table(path / USERS_FILE, Columns.USER_ID)
        items = read_id_table(path / ITEMS_FILE, Columns.ITEM_ID)
    except Exception as error:  # what the readers raise over strange bytes is a long list
        raise ArtifactError(
            f"cannot be understood ({error})", where=path, remedy=CHECKPOINT.remedy
        ) from error
    for name, found in ((WEIGHTS_FILE, weights), (PRODUCT_FILE, product)):
        if found is not None:
            check_shapes(found, architecture, path / name)
            check_finite(found, path / name)
    if (len(users), len(items)) != (architecture.n_users, architecture.n_items):
        raise ArtifactError("id maps and weights differ in size", where=path)
    return Checkpoint(path, architecture, weights, users, items, manifest, product)


def weights_of(model: nn.Module) -> Weights:
    """Copy a network's parameters to float32 arrays by name."""
    state = model.state_dict().items()
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state}
