"""Search for a recipe: draw trials from a search space, and judge them on validation alone."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import optuna
import tomli_w
from optuna.trial import Trial

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, InterruptedWorkError, UsageError
from ncf.files import atomic_file, remove_aside, storage_errors
from ncf.locks import writer_lock
from ncf.models.kinds import Variant
from ncf.training.recipe import Recipe, merge, parse_recipe
from ncf.training.request import Request
from ncf.training.space import Choices, draw, end_of
from ncf.training.stage import DivergedError, Stage
from ncf.training.study import (
    CUT_OFF,
    before_figure,
    begin_with_the_recipe,
    complete,
    ended,
    open_study,
)
from ncf.training.train import prepare_stage

logger = logging.getLogger(__name__)

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

    The first trial is the recipe to start from, so that what is found is never worse by
    validation. The others are drawn by optuna's tree-structured Parzen estimator (Bergstra et al.,
    "Algorithms for hyper-parameter optimization", NeurIPS 2011). After a few epochs, twice as many,
    and so on, a trial goes on only if it is among the better half of those that came as far
    (successive halving without waiting: Li et al., "A system for massively parallel hyperparameter
    tuning", MLSys 2020).

    Returns
    -------
    dict
        Number of ``trials``, and the best one's ``hr``, ``ndcg`` (validation), ``recipe``;
        ``before``, the NDCG of the recipe to start from, if its trial came to an end.

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
        journal, work = (out.with_name(f".{out.name}.{kind}") for kind in ("study", "work"))
        if not search.request.resume:
            journal.unlink(missing_ok=True)
            remove_aside(work, out)
        study = open_study(journal, search, data)
        objective = _Objective(search, data)
        begin_with_the_recipe(study, search)
        left = None if search.trials is None else max(0, search.trials - len(ended(study)))
        interrupted = False
        try:
            if left != 0:
                study.optimize(objective, n_trials=left, timeout=search.seconds)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted and not complete(study):
            raise InterruptedWorkError(
                "interrupted before a trial came to an end", where=out, remedy=_GO_ON
            )
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
            trial.set_user_attr(CUT_OFF, value=True)
            trial.study.stop()
            raise optuna.TrialPruned
        if trial.should_prune():
            raise optuna.TrialPruned


def _write_best(study: optuna.Study, search: Search) -> dict[str, Any]:
    out = search.request.out
    judged = ended(study)
    if not complete(study):
        raise ConfigError(
            "no trial came to an end", where=out, remedy="give more minutes, or fewer epochs"
        )
    best = study.best_trial
    recipe = _with(search.request.recipe, best.params, out)
    variant, before = search.request.variant.value, before_figure(study)
    against = f" The recipe to start from: NDCG@10 {before['before']:.4f}." if before else ""
    found_by = f"# Found by 'ncf tune --model {variant}'"
    comment = (
        f"{found_by}: the best of {len(judged)} trials on validation,\n"
        f"# HR@10 {best.user_attrs['hr']:.4f} and NDCG@10 {best.values[0]:.4f} "
        f"({best.user_attrs['protocol']}), after {best.user_attrs['epochs']} epochs.{against}\n\n"
    )
    document = recipe.model_dump(exclude_none=True)
    if search.request.variant is not Variant.NEUMF_PRE:
        del document["parents"]
    with atomic_file(out) as file:
        file.write((comment + tomli_w.dumps(document)).encode())
    return {
        "trials": len(judged),
        "hr": best.user_attrs["hr"],
        "ndcg": best.values[0],
        **before,
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
