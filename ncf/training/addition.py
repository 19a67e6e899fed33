"""Add product weights to a finished checkpoint that has none."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.files import remove_aside, storage_errors, sweep_beside
from ncf.locks import writer_lock
from ncf.records import json_values
from ncf.training.checkpoint import PICTURE_FILE, Checkpoint, open_checkpoint, write_checkpoint
from ncf.training.early_ends import GO_ON, in_one_line
from ncf.training.history import load_history
from ncf.training.manifest import Outcome
from ncf.training.refit import Kept, refit
from ncf.training.request import Request
from ncf.training.trained import Product, Trained
from ncf.volumes import beside

logger = logging.getLogger(__name__)


def refit_only(request: Request, data: PreparedData) -> dict[str, Any]:
    """Add product weights to the checkpoint at ``request.out``, which has none.

    Parameters
    ----------
    request : Request
        The checkpoint's variant and recipe, and options of this training.
    data : PreparedData
        Data that it was trained on.

    Returns
    -------
    dict
        What :func:`train` returns.

    Raises
    ------
    InterruptedWorkError
        Ctrl-C or SIGTERM came; the checkpoint is as it was.
    ConfigError
        The checkpoint is of an interrupted training.
    ArtifactError
        It is no checkpoint, or was trained on other data.
    """
    work = beside(request.out, "work")
    leads = request.ranks.leads
    with writer_lock(request.out) if leads else nullcontext(), storage_errors(request.out):
        found = open_checkpoint(request.out)
        found.require_data(data)
        if not found.manifest.finished:
            raise ConfigError("its training was interrupted", where=request.out, remedy=GO_ON)
        if found.manifest.warm is not None and found.product is None:
            raise ConfigError(
                "its refit starts from the weights of the checkpoint that it was started from",
                where=request.out,
                remedy="train it again with `warm_start` and with `refit`",
            )
        request.ranks.wait()
        if found.product is not None:
            logger.info("%s: has product weights already, nothing to train", request.out)
            return figures_of(found)
        if leads:
            sweep_beside(request.out)
            if not request.resume:
                remove_aside(work, request.out)
        summary = refit_checkpoint(found, request, data, work)
        if leads:
            remove_aside(work, request.out)
    return summary


def refit_checkpoint(
    found: Checkpoint, request: Request, data: PreparedData, work: Path
) -> dict[str, Any]:
    """Add product weights to a finished checkpoint."""
    kept = Kept.of(found.manifest, found.path)
    with in_one_line(request.out, lambda: " in the refit; the checkpoint is as it was"):
        product = refit(request, data, kept, work)
    if request.ranks.leads:
        add_product(found, product, data)
    request.ranks.wait()
    return figures_of(open_checkpoint(request.out))


def add_product(checkpoint: Checkpoint, product: Product, data: PreparedData) -> str:
    """Write a checkpoint again, with product weights, and return its digest.

    The result has the bytes of a checkpoint whose training included the refit.
    """
    found, picture = checkpoint.manifest, checkpoint.path / PICTURE_FILE
    facts = (found.validation, found.parents, found.mix, found.finished, found.origins, found.warm)
    trained = Trained(
        checkpoint.architecture,
        checkpoint.weights,
        load_history(checkpoint.path),
        Outcome(found.variant, found.recipe, *facts),
        picture.read_bytes() if picture.exists() else None,
        product,
        checkpoint.learned(),
    )
    return write_checkpoint(checkpoint.path, trained, data)


def figures_of(found: Checkpoint) -> dict[str, Any]:
    """Figures of a checkpoint, as :func:`train` returns them."""
    return {**json_values(found.manifest.validation), "digest": found.digest}
