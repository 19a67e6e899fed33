"""Train a variant with its parents, resume trainings, and save the best epoch on interruption."""

import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ncf.artifacts import read_manifest, require_replaceable
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ConfigError, InterruptedWorkError, UsageError
from ncf.files import remove_aside, storage_errors, sweep_beside
from ncf.locks import writer_lock
from ncf.models.kinds import Variant
from ncf.training.addition import figures_of, refit_checkpoint
from ncf.training.checkpoint import Checkpoint, open_checkpoint
from ncf.training.early_ends import GO_ON, in_one_line
from ncf.training.manifest import CHECKPOINT, Origin
from ncf.training.recipe import Parents, Recipe
from ncf.training.refit import REFIT_FOLDER, Kept, refit
from ncf.training.request import ParentFolders, Request, architecture_of
from ncf.training.stage import Stage
from ncf.training.start import SharedStart
from ncf.volumes import beside

if TYPE_CHECKING:
    from ncf.models.networks import GMF, MLP

logger = logging.getLogger(__name__)


def train(request: Request, data: PreparedData) -> dict[str, Any]:
    """Train, and write a checkpoint of the epoch that is best by validation.

    Parameters
    ----------
    request : Request
        The request: variant, recipe, options. With ``refit`` the checkpoint also holds product
        weights, trained on everything for as many epochs.
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
        begun = work.exists() and any(each.name != REFIT_FOLDER for each in work.iterdir())
        done = _finished(request, data) if request.resume and not begun else None
        request.ranks.wait()  # all must have looked before the leader writes
        try:
            if done is None:
                summary = _train_in(work, request, data)
            elif request.refit and done.product is None:
                summary = refit_checkpoint(done, request, data, work)
            else:
                logger.info("%s: already trained, nothing to resume", request.out)
                return figures_of(done)
        except KeyboardInterrupt:
            raise InterruptedWorkError(
                "interrupted between two trainings", where=request.out, remedy=GO_ON
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
    if request.is_mixed:
        shared = SharedStart(_recipe_of_parent(Variant.MLP, request.recipe))
        request = replace(request, shared=shared)
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
        mix = request.recipe.parents.mix
        stage.start_from(cast("GMF", gmf), cast("MLP", mlp), mix)
    return stage


def _train_in(work: Path, request: Request, data: PreparedData) -> dict[str, Any]:
    stage = prepare_stage(work, request, data)
    state = work / "state"
    if request.resume:
        stage.restore(state)
    with in_one_line(request.out, lambda: _left_behind(stage, request.out)):
        stage.run(state)
    origins = _origins(work, request)
    product = None
    if request.refit and _something_unseen(data):
        best = stage.best_epoch

        def leave() -> str:
            stage.publish(request.out, finished=False, origins=origins)
            return f" in the refit; holds the honest weights of epoch {best}, and no others"

        with in_one_line(request.out, leave):
            kept = Kept(best, stage.mix, origins)
            product = refit(request, data, kept, work)
    return stage.publish(request.out, finished=True, origins=origins, product=product)


def _something_unseen(data: PreparedData) -> bool:
    """Whether a refit has something to tell apart: a user with an unseen item among all pairs."""
    joined = data.joined().train
    users = np.count_nonzero(np.bincount(joined.users))
    if len(joined) < users * joined.n_items:
        return True
    logger.info("no refit: every user has every item")
    return False


def _origins(work: Path, request: Request) -> dict[str, Origin]:
    """Read how the parents were trained, for a refit now or later."""
    if not request.is_mixed:
        return {}
    given = {Variant.GMF: request.parents.gmf, Variant.MLP: request.parents.mlp}
    found = {}
    for variant, path in given.items():
        manifest = read_manifest(path or work / variant.value, CHECKPOINT)
        found[variant.value] = Origin(manifest.recipe, manifest.validation.best_epoch or 0)
    return found


def _left_behind(stage: Stage, out: Path) -> str:
    """Write the best epoch so far, if there is one, and describe it for the message."""
    if not stage.progress.epoch:
        return " before the first epoch ended"
    stage.publish(out, finished=False)
    best, epochs = stage.best_epoch, stage.progress.epoch
    return f"; holds the best epoch ({best}) of {epochs}"


def _train_parent(variant: Variant, out: Path, request: Request, data: PreparedData) -> Path:
    recipe = _recipe_of_parent(variant, request.recipe)
    logger.info("training the %s parent", variant.value)
    # Not refitted here: the child's refit repeats its parents' trainings too.
    warm = request.warm and request.warm.of(variant)
    own = replace(request, variant=variant, recipe=recipe, out=out, parents=ParentFolders())
    own = replace(own, refit=False, warm=warm)
    try:
        train(own, data)
    except InterruptedWorkError:
        problem = f"interrupted while its {variant.value} parent was training"
        raise InterruptedWorkError(problem, where=request.out, remedy=GO_ON) from None
    return out


def _recipe_of_parent(variant: Variant, recipe: Recipe) -> Recipe:
    schedule = recipe.parents.gmf if variant is Variant.GMF else recipe.parents.mlp
    return recipe.model_copy(update={"schedule": schedule, "parents": Parents()})


def _open_parent(path: Path, variant: Variant, recipe: Recipe, data: PreparedData) -> Checkpoint:
    parent = open_checkpoint(path)
    parent.require_data(data)
    expected = architecture_of(variant, recipe, data)
    found = parent.architecture
    if parent.manifest.variant != variant.value:
        raise ConfigError(
            f"parent is {parent.manifest.variant}, not {variant.value}",
            where=path,
            remedy=f"give one that was trained as {variant.value}",
        )
    # A GMF has no tower, so its layers and dropout do not matter.
    same = (found.kind, found.factors) == (expected.kind, expected.factors)
    if not same or (variant is Variant.MLP and found.layers != expected.layers):
        raise ConfigError(
            f"parent is a {found.kind.value} of {found.factors} factors and {found.layers} layers",
            where=path,
            remedy=f"give a {expected.kind.value} of {expected.factors} and {expected.layers}, or "
            "`config` with the parent's factors, gmf_factors and layers",
        )
    return parent


def _finished(request: Request, data: PreparedData) -> Checkpoint | None:
    """Open the checkpoint, if it is whole and matches the request."""
    try:
        found = open_checkpoint(request.out)
    except ArtifactError:
        if request.out.exists():
            logger.info("%s is damaged: training from the start", request.out)
        return None
    manifest = found.manifest
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
    wanted = None if request.warm is None else request.warm.facts.parent
    same_start = (manifest.warm.parent if manifest.warm else None) == wanted
    if not (manifest.finished and same and same_parents and same_start):
        logger.info("%s was made by another request: training from the start", request.out)
        return None
    return found
