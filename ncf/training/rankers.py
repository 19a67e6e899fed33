"""Make lists and scores of any checkpoint, whether it holds a network or an item-item model."""

from concurrent.futures import Executor

from scipy import sparse

from ncf.baselines.item_item import ItemItem
from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.evaluation.exact_lists import exact_lists
from ncf.evaluation.lists import Rank
from ncf.models.architecture import NO_ROWS, ROWS
from ncf.models.kinds import Kind
from ncf.models.scorer import GroupScorer, group_scorer
from ncf.training.checkpoint import Checkpoint
from ncf.training.manifest import CHECKPOINT


def lists_of(
    model: Checkpoint, seen: sparse.csr_array, device: Device, pool: Executor | None = None
) -> Rank:
    """Make a function that gives users their lists of K.

    Parameters
    ----------
    model : Checkpoint
        The model; lists of a network are made by the graph that a bundle would hold.
    seen : csr_array of shape (users, items)
        Stored entries are the items that users do not get.
    device : Device
        Where a network computes; item-item models compute on the CPU.
    pool : Executor, optional
        Threads that rank blocks of users side by side.
    """
    if model.architecture.kind is Kind.ITEM_ITEM:
        return _item_item(model).lists(seen)
    return exact_lists(model.weights, seen, device, pool, model.path)


def scorer_of(model: Checkpoint, device: str) -> GroupScorer:
    """Make a function that scores each user with items of its own, on PyTorch's ``device``."""
    if model.architecture.kind is Kind.ITEM_ITEM:
        return _item_item(model).pair_scores
    return group_scorer(model.model().to(device))


def require_rows(model: Checkpoint) -> None:
    """Refuse an item-item model where a row for each user is needed.

    Raises
    ------
    UsageError
        The model has none.
    """
    if model.architecture.kind is Kind.ITEM_ITEM:
        raise UsageError(NO_ROWS, where=model.path, remedy=ROWS)


def _item_item(model: Checkpoint) -> ItemItem:
    learned = model.learned()
    if learned is None:
        raise ArtifactError(
            "does not say what it was trained on", where=model.path, remedy=CHECKPOINT.remedy
        )
    return ItemItem.of_arrays(model.weights, learned.part(everything=False).csr())
