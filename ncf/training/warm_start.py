"""Start a training from yesterday's weights instead of from noise.

What yesterday's model knows is kept by raw id; what it does not know comes from the maps that fold
in. The honest weights start from the parent's honest ones, and the product from its product. So
figures are honest as long as the parent's honest weights were not trained on what is held out now;
a random split draws anew, and moves old training pairs into the test part. Such pairs are counted,
and there are no figures where there are any.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ConfigError, UsageError
from ncf.identifiers import IdMap
from ncf.models.kinds import Variant
from ncf.models.weights import Weights
from ncf.training.checkpoint import Checkpoint
from ncf.training.learned import Learned
from ncf.training.manifest import Carried, WarmStarted
from ncf.training.recipe import Recipe, parse_recipe
from ncf.training.schedule import Schedule
from ncf.training.warm_weights import Indices, Moved, moved_weights

logger = logging.getLogger(__name__)

ADVISED = 5
"""Generations after which a training from scratch is advised."""
_INTERRUPTED = "its training was interrupted"
_EPOCHS, _RATE = 1, 0.03
_BLOCK_EPOCHS, _BLOCK_RATE = 4, 0.1


@dataclass(frozen=True)
class Warm:
    """What a training starts from, and what it must remember of it.

    Parameters
    ----------
    parent : Checkpoint
        The parent.
    data : PreparedData
        Today's data.
    learned : Learned
        What the parent's weights were trained on, over the id maps of the data.
    facts : WarmStarted
        For the checkpoint.
    users, items : int64 arrays
        Index in the data of each user and item of the parent; -1 for those that are gone.
    part : Variant or None
        The parent of a NeuMF that is trained on its own; None for the whole network.
    """

    parent: Checkpoint
    data: PreparedData
    learned: Learned
    facts: WarmStarted
    users: Indices
    items: Indices
    part: Variant | None = None

    @property
    def is_honest(self) -> bool:
        """Whether the weights can be validated."""
        return not self.facts.learned_validation

    def weights(self, *, everything: bool) -> Weights:
        """Make what the refit, on everything, or the honest training starts from.

        A parent without product weights gives its honest ones for both.
        """
        product = self.parent.product if everything else None
        old = self.parent.weights if product is None else product
        if self.part is not None:
            old = _part(old, self.part, self.parent.manifest.mix or 0.0)
        learned = self.learned.part(everything=product is not None)
        now = self.data.joined().train if everything else self.data.train
        return moved_weights(old, *self.moved(learned), learned, now)

    def known(self, *, everything: bool) -> Indices:
        """Give the keys, ascending, of the pairs that :meth:`weights` were trained on."""
        product = everything and self.parent.product is not None
        return self.learned.part(everything=product).keys()

    def moved(self, learned: Interactions) -> tuple[Moved, Moved]:
        """Find where the rows of users and items come from.

        Raises
        ------
        UsageError
            The parent was trained on none of the users or none of the items.
        """
        of_users = _moved(learned.users, self.users, len(self.data.users))
        of_items = _moved(learned.items, self.items, len(self.data.items))
        for what, found in (("users", of_users), ("items", of_items)):
            if not found.kept.size:
                raise UsageError(
                    f"the model was trained on none of these {what}",
                    where=self.parent.path,
                    remedy="are these the same raw ids? else train without `warm_start`",
                )
        return of_users, of_items

    def of(self, variant: Variant) -> "Warm":
        """Take a NeuMF, a mix of two parents, apart again, and give one of them."""
        return replace(self, part=variant)


def inherit(parent: Checkpoint, data: PreparedData) -> Warm:
    """Find what a training on new data takes over from a parent.

    Raises
    ------
    ConfigError
        The parent's training was interrupted.
    ArtifactError
        The parent does not say what it was trained on.
    UsageError
        It was trained on none of the users or none of the items.
    """
    if not parent.manifest.finished:
        raise ConfigError(_INTERRUPTED, where=parent.path, remedy="finish it: `resume=True`")
    before = parent.learned()
    if before is None:
        raise ArtifactError(
            "does not say what it was trained on: it was made before there were warm starts",
            where=parent.path,
            remedy="train once without `warm_start`",
        )
    users, items = _numbers(parent.users, data.users), _numbers(parent.items, data.items)
    learned = before.renumbered(users, items, len(data.users), len(data.items))
    found = Warm(parent, data, learned, _facts(parent, data, learned), users, items)
    of_users, of_items = found.moved(learned.part(everything=False))
    facts = replace(found.facts, users=_carried(of_users, users), items=_carried(of_items, items))
    found = replace(found, facts=facts)
    _log(found.facts)
    return found


def warm_recipe(parent: Checkpoint) -> Recipe:
    """Find the recipe of a warm start: a few epochs at a part of the first training's rate."""
    first = parse_recipe(dict(first_recipe(parent)), parent.path)
    mix = parent.manifest.mix
    parents = first.parents.model_copy(
        update={
            "gmf": _warm(first.parents.gmf),
            "mlp": _warm(first.parents.mlp),
            "mix": first.parents.mix if mix is None else mix,
        }
    )
    is_mix = parent.manifest.variant == Variant.NEUMF_PRE and not first.schedule.epochs
    schedule = first.schedule if is_mix else _warm(first.schedule)
    return first.model_copy(update={"schedule": schedule, "parents": parents})


def first_recipe(parent: Checkpoint) -> dict[str, object]:
    """Find the recipe of the training from scratch that a checkpoint goes back to."""
    warm = parent.manifest.warm
    return dict(parent.manifest.recipe if warm is None else warm.recipe)


def _warm(first: Schedule) -> Schedule:
    changes: dict[str, object] = {"start": None, "l2_warmup": 0.0, "decay": 1.0}
    rate, epochs = _RATE, _EPOCHS
    if first.blocks is not None:
        rate, epochs = _BLOCK_RATE, _BLOCK_EPOCHS
        user_rate = first.blocks.user_rate * rate
        changes["blocks"] = first.blocks.model_copy(update={"user_rate": user_rate})
    changes |= {"learning_rate": first.learning_rate * rate, "epochs": epochs}
    return first.model_copy(update=changes)


def _numbers(old: IdMap, new: IdMap) -> Indices:
    """Find the new index of each old raw id; -1 where it is gone."""
    return new.indices(list(old.raw))


def _moved(trained: npt.NDArray[np.int32], numbers: Indices, size: int) -> Moved:
    """Find the old row of each new one; what has no training pair counts as new."""
    old = np.full(size, -1, np.int64)
    kept = np.flatnonzero(numbers >= 0)
    old[numbers[kept]] = kept
    has_pair = np.zeros(size, np.bool_)
    has_pair[trained] = True
    old[~has_pair] = -1
    return Moved(old)


def _facts(parent: Checkpoint, data: PreparedData, learned: Learned) -> WarmStarted:
    warm, nothing = parent.manifest.warm, Carried(0, 0, 0)
    return WarmStarted(
        parent=parent.digest,
        generation=1 + (0 if warm is None else warm.generation),
        recipe=first_recipe(parent),
        users=nothing,
        items=nothing,
        learned_validation=learned.count(data.validation.positives),
        learned_test=learned.count(data.test.positives),
    )


def _carried(moved: Moved, numbers: Indices) -> Carried:
    gone = int(np.count_nonzero(numbers < 0))
    return Carried(int(moved.kept.size), int(moved.new.size), gone)


def _log(facts: WarmStarted) -> None:
    users, items = facts.users, facts.items
    logger.info(
        "warm start, generation %d: %d users kept, %d new, %d dropped; items %d, %d, %d",
        *(facts.generation, users.kept, users.new, users.dropped),
        *(items.kept, items.new, items.dropped),
    )
    if facts.generation > ADVISED:
        logger.warning(
            "%d warm starts in a row: a training from scratch now and then is better",
            facts.generation,
        )
    if facts.learned_validation or facts.learned_test:
        logger.warning(
            "the parent was trained on %d pairs of the validation part and %d of the test part: "
            "there are no figures of these",
            *(facts.learned_validation, facts.learned_test),
        )


def _part(weights: Weights, variant: Variant, mix: float) -> Weights:
    """Take one of the two parents out of their mix, with the bias of the mix."""
    share = mix if variant is Variant.GMF else 1 - mix
    branch = variant.value
    found = {name: each for name, each in weights.items() if name.startswith(f"{branch}.")}
    width, head = weights["gmf.user.weight"].shape[1], weights["output.weight"]
    own = head[:, :width] if variant is Variant.GMF else head[:, width:]
    # A branch that the mix left out has lost its head, and will be left out again.
    own = own / np.float32(share) if share else np.ones_like(own)
    return {**found, "output.weight": own, "output.bias": weights["output.bias"]}
