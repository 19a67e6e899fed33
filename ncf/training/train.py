"""Train a variant with its parents, resume trainings, and save the best epoch on interruption."""

import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ncf.artifacts import read_manifest, require_replaceable
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ConfigError, InterruptedWorkError, UsageError
from ncf.files import remove_aside, storage_errors, sweep_beside
from ncf.locks import writer_lock
from ncf.models.kinds import Variant
from ncf.records import json_values
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.manifest import CHECKPOINT
from ncf.training.recipe import Parents, Recipe
from ncf.training.request import ParentFolders, Request, architecture_of
from ncf.training.stage import DivergedError, Stage
from ncf.volumes import beside

if TYPE_CHECKING:
    from ncf.models.networks import GMF, MLP

logger = logging.getLogger(__name__)

_GO_ON = "go on with `resume=True`"


def train(request: Request, data: PreparedData) -> dict[str, Any]:
    """Train, and write a checkpoint of the epoch that is best by validation.

    Parameters
    ----------
    request : Request
        The request: variant, recipe, options.
    data : PreparedData
        Training pairs and validation cases.

    Returns
    -------
    dict
        ``best_epoch``, validation ``hr`` and ``ndcg`` with their ``protocol`` and ``k``, and the
        checkpoint's ``digest``.

    Raises
    ------
    InterruptedWorkError
        Ctrl-C or SIGTERM came; the best epoch so far was written as a checkpoint.
    UsageError
        There is nothing to learn from, or nothing to validate on.
    """
    _check(request, data)
    work = beside(request.out, "work")
    leads = request.ranks.leads
    with writer_lock(request.out) if leads else nullcontext(), storage_errors(request.out):
        if leads:
            sweep_beside(request.out)
            if not request.resume:
                remove_aside(work, request.out)
        done = _finished(request, data) if request.resume and not work.exists() else None
        request.ranks.wait()  # all must have looked before the leader writes
        if done:
            logger.info("%s: already trained, nothing to resume", request.out)
            return done
        try:
            summary = _train_in(work, request, data)
        except KeyboardInterrupt:
            raise InterruptedWorkError(
                "interrupted between two trainings", where=request.out, remedy=_GO_ON
            ) from None
        if leads:
            remove_aside(work, request.out)
    return summary


def _check(request: Request, data: PreparedData) -> None:
    """Refuse what cannot be trained or must not be replaced."""
    if not len(data.validation.positives):
        raise UsageError(
            "no validation case: no user has three interactions", remedy="prepare more interactions"
        )
    require_replaceable(request.out, CHECKPOINT)
    if request.out.resolve() in {
        path.resolve() for path in (request.parents.gmf, request.parents.mlp) if path
    }:
        raise UsageError("`out` is one of the parents, which it would replace", where=request.out)


def prepare_stage(work: Path, request: Request, data: PreparedData) -> Stage:
    """Prepare a training to run; parents that are not given are trained in ``work``."""
    parents: dict[str, Checkpoint] = {}
    if request.variant is Variant.NEUMF_PRE:
        for variant, given in (
            (Variant.GMF, request.parents.gmf),
            (Variant.MLP, request.parents.mlp),
        ):
            path = given or _train_parent(variant, work / variant.value, request, data)
            request.ranks.wait()  # the leader has written it
            parents[variant.value] = _open_parent(path, variant, request.recipe, data)
    stage = Stage(request, data, {name: parent.digest for name, parent in parents.items()})
    if parents:
        gmf, mlp = (parents[name].model() for name in ("gmf", "mlp"))
        stage.start_from(cast("GMF", gmf), cast("MLP", mlp))
    return stage


def _train_in(work: Path, request: Request, data: PreparedData) -> dict[str, Any]:
    stage = prepare_stage(work, request, data)
    state = work / "state"
    if request.resume:
        stage.restore(state)
    try:
        stage.run(state)
    except KeyboardInterrupt:
        problem = f"interrupted{_left_behind(stage, request.out)}"
        raise InterruptedWorkError(problem, where=request.out, remedy=_GO_ON) from None
    except DivergedError as error:
        problem = f"the loss became {error.args[0]}{_left_behind(stage, request.out)}"
        raise ConfigError(problem, where=request.out, remedy="lower learning_rate") from None
    return stage.publish(request.out, finished=True)


def _left_behind(stage: Stage, out: Path) -> str:
    """Write the best epoch so far, if there is one, and describe it for the message."""
    if not stage.progress.epoch:
        return " before the first epoch ended"
    stage.publish(out, finished=False)
    best, epochs = stage.progress.best_epoch, stage.progress.epoch
    return f"; holds the best epoch ({best}) of {epochs}"


def _train_parent(variant: Variant, out: Path, request: Request, data: PreparedData) -> Path:
    parents = request.recipe.parents
    schedule = parents.gmf if variant is Variant.GMF else parents.mlp
    recipe = request.recipe.model_copy(update={"schedule": schedule, "parents": Parents()})
    logger.info("training the %s parent", variant.value)
    own = replace(request, variant=variant, recipe=recipe, out=out, parents=ParentFolders())
    try:
        train(own, data)
    except InterruptedWorkError:
        problem = f"interrupted while its {variant.value} parent was training"
        raise InterruptedWorkError(problem, where=request.out, remedy=_GO_ON) from None
    return out


def _open_parent(path: Path, variant: Variant, recipe: Recipe, data: PreparedData) -> Checkpoint:
    parent = open_checkpoint(path)
    parent.require_data(data)
    expected = architecture_of(variant, recipe, data)
    found = parent.architecture
    # A GMF has no tower, so its layers and dropout do not matter.
    same = (found.kind, found.factors) == (expected.kind, expected.factors)
    if not same or (variant is Variant.MLP and found.layers != expected.layers):
        raise ConfigError(
            f"parent is a {found.kind.value} of {found.factors} factors and {found.layers} layers",
            where=path,
            remedy=f"give a {expected.kind.value} of {expected.factors} and {expected.layers}",
        )
    return parent


def _finished(request: Request, data: PreparedData) -> dict[str, Any] | None:
    """Read the figures of the checkpoint, if it is whole and matches the request."""
    try:
        manifest = open_checkpoint(request.out).manifest
    except ArtifactError:
        if request.out.exists():
            logger.info("%s is damaged: training from the start", request.out)
        return None
    given = {"gmf": request.parents.gmf, "mlp": request.parents.mlp}
    same_parents = all(
        read_manifest(path, CHECKPOINT).digest == manifest.parents.get(name)
        for name, path in given.items()
        if path
    )
    same = (manifest.variant, manifest.recipe, manifest.data.digest) == (
        request.variant.value,
        request.recipe.model_dump(),
        data.digest,
    )
    if not (manifest.finished and same and same_parents):
        logger.info("%s was made by another request: training from the start", request.out)
        return None
    return {**json_values(manifest.validation), "digest": manifest.digest}
