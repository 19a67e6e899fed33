"""Describe one training, and find the architecture of its network and its identity."""

from dataclasses import dataclass, field
from pathlib import Path

from ncf.artifacts import canonical_json
from ncf.data.prepared import PreparedData
from ncf.files import sha256_bytes
from ncf.models.architecture import Architecture
from ncf.models.kinds import Variant
from ncf.training.ranks import ALONE, Ranks
from ncf.training.recipe import Recipe
from ncf.training.start import SharedStart
from ncf.training.warm_start import Warm


@dataclass(frozen=True)
class ParentFolders:
    """Folders of the parents of ``neumf-pre``; a parent that is None is trained first."""

    gmf: Path | None = None
    mlp: Path | None = None


@dataclass(frozen=True)
class Request:
    """The request for one training.

    Parameters
    ----------
    variant : Variant
        Variant to train.
    recipe : Recipe
        Recipe to train by.
    out : Path
        Checkpoint folder to write.
    resume : bool
        Continue an interrupted training after the last epoch that was saved.
    device : str
        PyTorch's name of the device.
    parents : ParentFolders
        Parents, for ``neumf-pre``.
    amp : bool
        Compute in bfloat16 where it is safe.
    ranks : Ranks
        Place of this process among those that train together.
    refit : bool
        Train a second set of weights on everything, for export, after validation has chosen.
    warm : Warm or None
        What the training starts from, instead of noise.
    shared : SharedStart
        The GMF that the MLP of two parents starts from, which the other one's training comes by.
    """

    variant: Variant
    recipe: Recipe
    out: Path
    resume: bool = False
    device: str = "cpu"
    parents: ParentFolders = ParentFolders()
    amp: bool = False
    ranks: Ranks = ALONE
    refit: bool = False
    warm: Warm | None = None
    shared: SharedStart = field(default_factory=SharedStart, compare=False)

    @property
    def is_mixed(self) -> bool:
        """Whether parents are trained first: a warm NeuMF has them only if it is a mere mix."""
        mixes = self.warm is None or not self.recipe.schedule.epochs
        return self.variant is Variant.NEUMF_PRE and mixes


def architecture_of(variant: Variant, recipe: Recipe, data: PreparedData) -> Architecture:
    """Find the architecture of a variant's network for a recipe and data."""
    rows = (len(data.users), len(data.items))
    tower = (recipe.layers, recipe.dropout)
    if variant is Variant.GMF:
        return Architecture(variant.kind, *rows, recipe.gmf_factors or recipe.factors, *tower)
    gmf_factors = None if variant is Variant.MLP else recipe.gmf_factors
    return Architecture(variant.kind, *rows, recipe.factors, *tower, gmf_factors)


def identity_of(
    request: Request, data: PreparedData, parents: dict[str, str], epochs: int | None
) -> str:
    """Compute a digest of all that the weights of a stage depend on, for its saved state."""
    document: dict[str, object] = {
        "variant": request.variant.value,
        "recipe": request.recipe.model_dump(),
        "data": data.digest,
        "parents": parents,
        "amp": request.amp,
        "processes": request.ranks.size,
    }
    if request.warm is not None:
        document["warm"] = request.warm.facts.parent
    if epochs is not None:
        document["refit"] = epochs
    return sha256_bytes(canonical_json(document))
