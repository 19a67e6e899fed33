"""Train a simple model: choose its settings on validation, fit it, and write a checkpoint."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ncf.artifacts import require_replaceable
from ncf.baselines.climb import Settings, climb
from ncf.baselines.names import Baseline
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, InterruptedWorkError, UsageError
from ncf.files import storage_errors, sweep_beside
from ncf.locks import writer_lock
from ncf.training.baseline_fits import Fits, Fitted, rows_of
from ncf.training.baseline_settings import MOST_TRIES, ladders_of
from ncf.training.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from ncf.training.judge import K
from ncf.training.manifest import CHECKPOINT, Outcome, Refitted, Tried
from ncf.training.trained import Product, Trained
from ncf.validation import Validation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaselineRequest:
    """The request for the training of a simple model.

    Parameters
    ----------
    baseline : Baseline
        The simple model.
    out : Path
        Checkpoint folder to write.
    fixed : mapping
        Settings that are not to be chosen, by name.
    resume : bool
        Keep a finished checkpoint of the same request.
    refit : bool
        Also fit rows to everything, for export, if the model has rows.
    where : object
        Origin of ``fixed``, for messages.
    """

    baseline: Baseline
    out: Path
    fixed: Mapping[str, object]
    resume: bool = False
    refit: bool = True
    where: object = "`config`"


def train_baseline(request: BaselineRequest, data: PreparedData) -> None:
    """Choose settings by NDCG@10 on validation, and write a checkpoint of the best.

    The settings are found by climbing from a usual value of each, with at most
    :data:`ncf.training.baseline_settings.MOST_TRIES` fits; the checkpoint lists all that were
    tried.

    Parameters
    ----------
    request : BaselineRequest
        The request.
    data : PreparedData
        Training pairs and validation cases.

    Raises
    ------
    CapabilityError
        EASE needs more memory than is free.
    ConfigError
        A fixed setting is unknown or out of range.
    InterruptedWorkError
        Ctrl-C or SIGTERM came; nothing was written.
    UsageError
        There is nothing to validate on.
    """
    if not len(data.validation.positives):
        raise UsageError(
            "no validation case: no user has three interactions", remedy="prepare more interactions"
        )
    require_replaceable(request.out, CHECKPOINT)
    with writer_lock(request.out), storage_errors(request.out):
        sweep_beside(request.out)
        if request.resume and is_trained(request, data):
            logger.info("%s: already trained, nothing to resume", request.out)
            return
        try:
            trained = _train(request, data)
        except KeyboardInterrupt:
            raise InterruptedWorkError(
                "interrupted; nothing was written", where=request.out, remedy="train it again"
            ) from None
        write_checkpoint(request.out, trained, data)


def is_trained(request: BaselineRequest, data: PreparedData) -> bool:
    """Whether a checkpoint is there that the request, on these data, would make again."""
    try:
        manifest = open_checkpoint(request.out).manifest
    except ArtifactError:
        return False
    same = manifest.variant == request.baseline.value and manifest.data.digest == data.digest
    chosen = {name: manifest.recipe.get(name) for name in request.fixed}
    # Settings that were fixed before, and are not now, would be chosen.
    fixed = manifest.recipe.get("fixed", [])
    has_product = manifest.product is not None or not request.baseline.has_rows
    asked = chosen == dict(request.fixed) and fixed == sorted(request.fixed)
    return same and asked and (has_product or not request.refit)


def _train(request: BaselineRequest, data: PreparedData) -> Trained:
    started, name = time.monotonic(), request.baseline.value
    pairs = data.train.csr()
    ladders, start = ladders_of(request.baseline, pairs, request.fixed, request.where)
    fits = Fits(request.baseline, data)
    best: tuple[Settings, Fitted] | None = None
    tried: list[Tried] = []

    def measure(settings: Settings) -> float:
        nonlocal best
        fitted = fits.fit(settings)
        varied = {key: value for key, value in settings.items() if len(ladders[key]) > 1}
        tried.append(Tried(varied, fitted.hr, fitted.ndcg))
        said = ", ".join(f"{key} {value:g}" for key, value in varied.items())
        logger.info("%s: validation NDCG@%d %.4f %s", name, K, fitted.ndcg, said)
        if best is None or fitted.ndcg > best[1].ndcg:
            best = (dict(settings), fitted)
        return fitted.ndcg

    climb(ladders, start, measure, MOST_TRIES)
    if best is None:
        raise AssertionError  # the climb has measured the start
    settings, fitted = best
    logger.info("%s: the best of %d fits, %.1f s", name, len(tried), time.monotonic() - started)
    product = None
    if request.refit and request.baseline.has_rows:
        joined = data.joined().train
        rows = rows_of(request.baseline, joined, settings, fitted.sweeps)
        product = Product(rows, Refitted(fitted.sweeps or 1, len(joined)))
    outcome = Outcome(
        variant=name,
        recipe={**settings, "fixed": sorted(request.fixed)},
        validation=Validation(
            fitted.hr, fitted.ndcg, fits.protocol, K, fitted.sweeps, weights="honest"
        ),
        finished=True,
        tried=tuple(tried),
    )
    return Trained(fitted.architecture, fitted.weights, fitted.history, outcome, product=product)


def baseline_of(model: Checkpoint) -> Baseline | None:
    """Find which simple model a checkpoint holds; None for a network."""
    variant = model.manifest.variant
    return Baseline(variant) if variant in set(Baseline) else None
