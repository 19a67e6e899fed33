"""The study of a search: its journal, its sampler and pruner, and the trials in it."""

from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL

from ncf.artifacts import canonical_json
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.files import sha256_bytes
from ncf.training.space import is_choice, value_of

if TYPE_CHECKING:
    from ncf.training.tune import Search

CUT_OFF = "cut off"
"""Mark of a trial that ran out of time."""
_BEFORE = "before"
_RUNGS = 15  # a trial is judged first after one of so many parts of its epochs, but not before two


def open_study(journal: Path, search: "Search", data: PreparedData) -> optuna.Study:
    """Open the journal of a search, or begin one.

    Raises
    ------
    ConfigError
        The journal is of another search.
    """
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
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(2, search.request.recipe.schedule.epochs // _RUNGS), reduction_factor=2
        ),
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


def begin_with_the_recipe(study: optuna.Study, search: "Search") -> None:
    """Try the recipe to start from first, as far as the space has its values."""
    tried = (TrialState.COMPLETE, TrialState.WAITING)
    if any(trial.user_attrs.get(_BEFORE) for trial in study.get_trials(states=tried)):
        return
    own = {key: value_of(search.request.recipe.model_dump(), key) for key in search.space}
    kept = {key: value for key, value in own.items() if is_choice(search.space[key], value)}
    study.enqueue_trial(kept, user_attrs={_BEFORE: len(kept) == len(own)})


def before_figure(study: optuna.Study) -> dict[str, float]:
    """Give the figure of the recipe to start from, if it was tried to its end."""
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = [trial.values[0] for trial in found if trial.user_attrs.get(_BEFORE)]
    return {"before": float(values[0])} if values else {}


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """List the trials that were judged, without those that died or ran out of time."""
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [trial for trial in trials if not trial.user_attrs.get(CUT_OFF)]


def complete(study: optuna.Study) -> bool:
    """Whether a trial finished."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
