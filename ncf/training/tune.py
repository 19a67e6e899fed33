"""Search for a recipe: draw trials from a search space, and judge them on validation alone."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import optuna
import tomli_w
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import URL

from ncf.artifacts import canonical_json
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, InterruptedWorkError, UsageError
from ncf.files import atomic_file, remove_aside, sha256_bytes, storage_errors
from ncf.locks import writer_lock
from ncf.models.kinds import Variant
from ncf.training.recipe import Recipe, merge, parse_recipe
from ncf.training.request import Request
from ncf.training.space import Choices, draw, end_of
from ncf.training.stage import DivergedError, Stage
from ncf.training.train import prepare_stage

logger = logging.getLogger(__name__)

_CUT_OFF = "cut off"
_GO_ON = "go on with `resume=True`"


@dataclass(frozen=True)
class Search:
    """A search: its space and its limits.

    Parameters
    ----------
    request : Request
        Variant, base recipe, file of the result (``out``, in TOML), device, parents; ``resume``
        continues an earlier search.
    space : dict
        Choices by dotted key of the recipe.
    seconds : float
        Stop after this time; the running trial ends at its next epoch.
    trials : int or None
        Stop after this number of trials, with those of an earlier search.
    """

    request: Request
    space: Choices
    seconds: float
    trials: int | None = None


def tune(search: Search, data: PreparedData) -> dict[str, Any]:
    """Search, and write the best recipe found.

    Trials are drawn by optuna's tree-structured Parzen estimator (Bergstra et al., "Algorithms
    for hyper-parameter optimization", NeurIPS 2011); a trial below the median of the others at
    the same epoch is stopped.

    Returns
    -------
    dict
        Number of ``trials``, and the best one's ``hr``, ``ndcg`` (validation), ``recipe``.

    Raises
    ------
    ConfigError
        The space or its values do not fit a recipe, or no trial finished.
    InterruptedWorkError
        Ctrl-C or SIGTERM came; the best recipe so far was written.
    """
    out = search.request.out
    _check(search)
    with writer_lock(out), storage_errors(out):
        journal = out.with_name(f".{out.name}.study")
        work = out.with_name(f".{out.name}.work")
        if not search.request.resume:
            journal.unlink(missing_ok=True)
            remove_aside(work, out)
        study = _open_study(journal, search, data)
        objective = _Objective(search, data)
        done = len(_ended(study))
        left = None if search.trials is None else max(0, search.trials - done)
        interrupted = False
        try:
            if left != 0:
                study.optimize(objective, n_trials=left, timeout=search.seconds)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted and not _complete(study):
            problem = "interrupted before a trial came to an end"
            raise InterruptedWorkError(problem, where=out, remedy=_GO_ON)
        found = _write_best(study, search)
        if interrupted:
            problem = f"interrupted after {found['trials']} trials; holds the best recipe of them"
            raise InterruptedWorkError(problem, where=out, remedy=_GO_ON)
        remove_aside(work, out)
    return found


class _Objective:
    """Train one trial's recipe; its value is the best validation NDCG@10."""

    def __init__(self, search: Search, data: PreparedData) -> None:
        self._search = search
        self._data = data
        self._deadline = time.monotonic() + search.seconds

    def __call__(self, trial: Trial) -> float:
        drawn = {key: draw(trial, key, choices) for key, choices in self._search.space.items()}
        recipe = _with(self._search.request.recipe, drawn, self._search.request.out)
        out = self._search.request.out
        work = out.with_name(f".{out.name}.work")
        # With resume, parents that an earlier trial trained are used again.
        request = replace(self._search.request, recipe=recipe, resume=True)
        stage = prepare_stage(work, request, self._data)
        try:
            stage.run(None, lambda: self._watch(trial, stage))
        except DivergedError as error:
            raise optuna.TrialPruned from error
        best = stage.progress.best_row
        trial.set_user_attr("hr", best.hr)
        trial.set_user_attr("protocol", stage.protocol)
        trial.set_user_attr("epochs", stage.progress.best_epoch)
        logger.info("trial %d: NDCG %.4f with %s", trial.number, best.ndcg, drawn)
        return float(best.ndcg)

    def _watch(self, trial: Trial, stage: Stage) -> None:
        trial.report(stage.progress.best_row.ndcg, stage.progress.epoch)
        if time.monotonic() > self._deadline:
            logger.info("time is up: trial %d is stopped", trial.number)
            trial.set_user_attr(_CUT_OFF, value=True)
            trial.study.stop()
            raise optuna.TrialPruned
        if trial.should_prune():
            raise optuna.TrialPruned


def _open_study(journal: Path, search: Search, data: PreparedData) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # our own messages report failures
    identity = sha256_bytes(
        canonical_json(
            {
                "variant": search.request.variant.value,
                "recipe": search.request.recipe.model_dump(),
                "data": data.digest,
                "space": search.space,
            }
        )
    )
    study = optuna.create_study(
        study_name="ncf",
        storage=URL.create("sqlite", database=str(journal)).render_as_string(),
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    )
    if study.user_attrs.setdefault("identity", identity) != identity:
        raise ConfigError(
            "the earlier search had another variant, recipe, space or data",
            where=search.request.out,
            remedy="give the same ones, or search with `resume=False`",
        )
    study.set_user_attr("identity", identity)
    # Another seed each time a search is continued: else the first draws would come again.
    seed = search.request.recipe.seed + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """List the trials that were judged, without those that died or ran out of time."""
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [trial for trial in trials if not trial.user_attrs.get(_CUT_OFF)]


def _complete(study: optuna.Study) -> bool:
    """Whether a trial finished."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _write_best(study: optuna.Study, search: Search) -> dict[str, Any]:
    out = search.request.out
    ended = _ended(study)
    if not _complete(study):
        raise ConfigError(
            "no trial came to an end", where=out, remedy="give more minutes, or fewer epochs"
        )
    best = study.best_trial
    recipe = _with(search.request.recipe, best.params, out)
    variant = search.request.variant.value
    comment = (
        f"# Found by 'ncf tune --model {variant}': the best of {len(ended)} trials on validation,\n"
        f"# HR@10 {best.user_attrs['hr']:.4f} and NDCG@10 {best.values[0]:.4f} "
        f"({best.user_attrs['protocol']}), after {best.user_attrs['epochs']} epochs.\n\n"
    )
    document = recipe.model_dump(exclude_none=True)
    if search.request.variant is not Variant.NEUMF_PRE:
        del document["parents"]
    with atomic_file(out) as file:
        file.write((comment + tomli_w.dumps(document)).encode())
    return {
        "trials": len(ended),
        "hr": best.user_attrs["hr"],
        "ndcg": best.values[0],
        "recipe": str(out),
        **best.params,
    }


def _check(search: Search) -> None:
    """Refuse a space that does not fit a recipe, before any trial."""
    if search.seconds <= 0 or (search.trials is not None and search.trials < 1):
        raise UsageError("`minutes` and `trials` must be above 0")
    for end in (0, -1):
        drawn = {key: end_of(choices, end) for key, choices in search.space.items()}
        _with(search.request.recipe, drawn, "search space")
    if search.request.variant is Variant.NEUMF_PRE:
        for key in search.space:
            if not key.startswith("schedule.") and key != "parents.mix":
                raise ConfigError(
                    f"{key!r} would train both parents anew in each trial",
                    where="search space",
                    remedy="tune gmf and mlp, then neumf-pre over [schedule] and parents.mix",
                )


def _with(recipe: Recipe, drawn: Mapping[str, object], where: object) -> Recipe:
    document = recipe.model_dump()
    for key, value in drawn.items():
        nested = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        document = merge(document, cast("dict[str, Any]", nested))
    return parse_recipe(document, where)
