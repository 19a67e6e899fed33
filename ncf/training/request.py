"""What a training is asked for, and the shape of network that follows from it."""

from dataclasses import dataclass
from pathlib import Path

from ncf.data.prepared import PreparedData
from ncf.models.architecture import Architecture
from ncf.models.kinds import Variant
from ncf.training.ranks import ALONE, Ranks
from ncf.training.recipe import Recipe


@dataclass(frozen=True)
class ParentFolders:
    """Trained networks that ``neumf-pre`` starts from; None is trained on the way."""

    gmf: Path | None = None
    mlp: Path | None = None


@dataclass(frozen=True)
class Request:
    """One training.

    Parameters
    ----------
    variant : Variant
        What to train.
    recipe : Recipe
        How.
    out : Path
        Checkpoint folder.
    resume : bool
        Go on from the last whole epoch of an interrupted training.
    device : str
        Where to compute, as PyTorch names it.
    parents : ParentFolders
        For ``neumf-pre``.
    amp : bool
        Compute in bfloat16 where that is safe.
    ranks : Ranks
        The processes that train together, and which this one is.
    """

    variant: Variant
    recipe: Recipe
    out: Path
    resume: bool = False
    device: str = "cpu"
    parents: ParentFolders = ParentFolders()
    amp: bool = False
    ranks: Ranks = ALONE


def architecture_of(variant: Variant, recipe: Recipe, data: PreparedData) -> Architecture:
    """Tell the shape of a variant's network for a recipe and data."""
    rows = (len(data.users), len(data.items))
    tower = (recipe.layers, recipe.dropout)
    if variant is Variant.GMF:
        return Architecture(variant.kind, *rows, recipe.gmf_factors or recipe.factors, *tower)
    gmf_factors = None if variant is Variant.MLP else recipe.gmf_factors
    return Architecture(variant.kind, *rows, recipe.factors, *tower, gmf_factors)
