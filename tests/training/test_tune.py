import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import optuna
import pytest
from optuna.trial import Trial

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError, InterruptedWorkError, UsageError
from ncf.models.kinds import Variant
from ncf.training import tune as tuning
from ncf.training.recipe import Parents, Recipe, default_recipe, load_recipe
from ncf.training.request import Request
from ncf.training.schedule import Schedule
from ncf.training.space import Choices, is_choice, load_space, value_of
from ncf.training.train import train
from ncf.training.tune import Search, tune

_SHORT = Schedule(learning_rate=0.02, batch_size=64, epochs=4, patience=4)
BASE = Recipe(factors=4, layers=2, schedule=_SHORT, parents=Parents(gmf=_SHORT, mlp=_SHORT))
SPACE: Choices = {
    "schedule.learning_rate": {"low": 1e-3, "high": 0.05, "log": True},
    "factors": [2, 4],
}


def _search(out: Path, trials: int, *, resume: bool = False, seconds: float = 600) -> Search:
    return Search(Request(Variant.GMF, BASE, out, resume), SPACE, seconds, trials)


def test_the_best_recipe_is_written_and_can_be_trained_with(
    data: PreparedData, tmp_path: Path
) -> None:
    out = tmp_path / "found.toml"
    found = tune(_search(out, 6), data)
    assert found["trials"] == 6
    # It is the recipe that it says it is: training with it gives the same figures.
    trained = train(Request(Variant.GMF, load_recipe(out, BASE), tmp_path / "c"), data)
    assert (trained["hr"], trained["ndcg"]) == (found["hr"], found["ndcg"])
    recipe = load_recipe(out, default_recipe(Variant.GMF))
    assert recipe.schedule.learning_rate == found["schedule.learning_rate"]
    assert recipe.schedule.epochs == BASE.schedule.epochs
    assert f"NDCG@10 {found['ndcg']:.4f} (sampled)" in out.read_text()


def test_the_first_trial_is_the_recipe_to_start_from(data: PreparedData, tmp_path: Path) -> None:
    plain = train(Request(Variant.GMF, BASE, tmp_path / "c"), data)
    alone = tune(_search(tmp_path / "r.toml", 1), data)
    assert alone["before"] == alone["ndcg"] == plain["ndcg"]
    assert (alone["factors"], alone["schedule.learning_rate"]) == (4, 0.02)
    found = tune(_search(tmp_path / "r.toml", 6, resume=True), data)
    assert found["before"] == plain["ndcg"] <= found["ndcg"]
    assert f"start from: NDCG@10 {plain['ndcg']:.4f}" in (tmp_path / "r.toml").read_text()


def test_a_recipe_outside_the_space_is_tried_as_far_as_it_fits(
    data: PreparedData, tmp_path: Path
) -> None:
    space: Choices = {"factors": [2, 3], "schedule.learning_rate": [0.02, 0.04]}
    found = tune(Search(Request(Variant.GMF, BASE, tmp_path / "r.toml"), space, 600, 1), data)
    assert found["schedule.learning_rate"] == 0.02
    assert "before" not in found


def test_trials_that_fall_behind_are_stopped_early(data: PreparedData, tmp_path: Path) -> None:
    long = _SHORT.model_copy(update={"epochs": 16, "patience": 16, "learning_rate": 0.02})
    base = BASE.model_copy(update={"schedule": long})
    space: Choices = {"schedule.learning_rate": [0.02, 1e-6], "schedule.l2": [0.0]}
    request = Request(Variant.GMF, base, tmp_path / "r.toml")
    tune(Search(request, space, 600, 5), data)
    url = f"sqlite:///{tmp_path / '.r.toml.study'}"
    trials = optuna.load_study(study_name=None, storage=url).trials
    slow = [each for each in trials if each.params["schedule.learning_rate"] == 1e-6]
    assert slow
    assert max(each.last_step or 0 for each in slow) < 16
    assert trials[0].state is optuna.trial.TrialState.COMPLETE


def test_a_search_goes_on_where_it_was(data: PreparedData, tmp_path: Path) -> None:
    first = tune(_search(tmp_path / "r.toml", 3), data)
    more = tune(_search(tmp_path / "r.toml", 5, resume=True), data)
    assert (first["trials"], more["trials"]) == (3, 5)
    assert more["ndcg"] >= first["ndcg"]
    url = f"sqlite:///{tmp_path / '.r.toml.study'}"
    drawn = [trial.params for trial in optuna.load_study(study_name=None, storage=url).trials]
    rates = {params["schedule.learning_rate"] for params in drawn}
    assert len(rates) == 5, "going on draws anew, not the first trials again"
    assert tune(_search(tmp_path / "r.toml", 5, resume=True), data) == more
    assert tune(_search(tmp_path / "r.toml", 1), data)["trials"] == 1, "anew without `resume`"


def test_going_on_with_another_space_is_refused(data: PreparedData, tmp_path: Path) -> None:
    out = tmp_path / "r.toml"
    tune(_search(out, 1), data)
    before = out.read_bytes()
    other = Search(Request(Variant.GMF, BASE, out, resume=True), {"factors": [4, 8]}, 600, 2)
    with pytest.raises(ConfigError, match="another variant, recipe, space or data"):
        tune(other, data)
    assert out.read_bytes() == before


def test_ctrl_c_leaves_the_best_of_what_was_tried(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = iter(range(100))
    objective = tuning._Objective.__call__

    def interrupted(self: tuning._Objective, trial: Trial) -> float:
        if next(ended) == 2:
            raise KeyboardInterrupt
        return objective(self, trial)

    monkeypatch.setattr(tuning._Objective, "__call__", interrupted)
    with pytest.raises(InterruptedWorkError, match=r"after 2 trials.*`resume=True`"):
        tune(_search(tmp_path / "r.toml", 9), data)
    assert tomllib.loads((tmp_path / "r.toml").read_text())["factors"] in {2, 4}


def test_ctrl_c_before_any_trial_ends_is_an_interruption(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning._Objective, "__call__", interrupted)
    with pytest.raises(InterruptedWorkError, match="before a trial came to an end; go on with"):
        tune(_search(tmp_path / "r.toml", 9), data)
    assert not (tmp_path / "r.toml").exists()


def test_time_cuts_a_trial_off(data: PreparedData, tmp_path: Path) -> None:
    endless = BASE.model_copy(
        update={"schedule": _SHORT.model_copy(update={"epochs": 10**6, "patience": 10**6})}
    )
    request = Request(Variant.GMF, endless, tmp_path / "r.toml")
    started = time.monotonic()
    with pytest.raises(ConfigError, match="no trial came to an end; give more minutes"):
        tune(Search(request, SPACE, 1.0), data)
    assert time.monotonic() - started < 60
    assert not (tmp_path / "r.toml").exists()


def test_a_search_killed_at_any_moment_goes_on(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("factors = 4\nlayers = 2\n[schedule]\nepochs = 2\n")
    command = [sys.executable, "-m", "ncf", "tune", "--data", str(data_folder), "--model", "gmf"]
    command += ["--config", str(tmp_path / "base.toml"), "--out", str(tmp_path / "r.toml")]
    with subprocess.Popen([*command, "--resume"], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / ".r.toml.study").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
    ended = subprocess.run([*command, "--resume", "--trials", "3"], check=False, timeout=120)
    assert ended.returncode == 0
    assert load_recipe(tmp_path / "r.toml", default_recipe(Variant.GMF)).layers == 2


def test_neumf_pre_trains_its_parents_once(
    data: PreparedData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    request = Request(Variant.NEUMF_PRE, BASE, tmp_path / "r.toml")
    space: Choices = {"schedule.learning_rate": [0.001, 0.01], "parents.mix": [0.3, 0.7]}
    tune(Search(request, space, 600, 3), data)
    trained = [line for line in caplog.messages if line.startswith("gmf epoch 1:")]
    assert len(trained) == 1
    with pytest.raises(ConfigError, match="'factors' would train both parents anew"):
        tune(Search(request, {"factors": [2, 4]}, 600, 3), data)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "there is nothing to search"),
        ("factors = 8", "factors = 8 is not a choice"),
        ("factors = []", "is not a choice"),
        ("[schedule.l2]\nlow = 1\nhigh = 0", "is not a range"),
        ("[schedule.l2]\nlow = 0\nhigh = 1\nlog = true", "is not a range"),
        ("[schedule.l2]\nlow = 'a'\nhigh = 1", "is not a range"),
        ("[schedule.l2]\nlow = 1", "is not a choice"),
        ("factors = ", "not TOML"),
        (f"factors = {'[' * 5000}", "not TOML"),
    ],
)
def test_a_bad_space_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_space(path, Variant.GMF)
    assert named in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_space_outside_a_recipe_is_refused_before_any_trial(
    data: PreparedData, tmp_path: Path
) -> None:
    request = Request(Variant.GMF, BASE, tmp_path / "r.toml")
    cases: list[tuple[Choices, str]] = [
        ({"factor": [2]}, "unknown key 'factor'"),
        ({"factors": [2, 0]}, "factors = 0"),
        ({"schedule": [1]}, "schedule = 1"),
    ]
    for space, named in cases:
        with pytest.raises(ConfigError, match=named):
            tune(Search(request, space, 600, 1), data)
    with pytest.raises(UsageError, match="`minutes`"):
        tune(Search(request, SPACE, 0, 1), data)
    assert not list(tmp_path.glob("*study*"))


@pytest.mark.parametrize("variant", list(Variant))
def test_the_toolkits_own_space_fits_its_own_recipe(variant: Variant, tmp_path: Path) -> None:
    recipe, space = default_recipe(variant), load_space(None, variant)
    request = Request(variant, recipe, tmp_path / "r.toml")
    tuning._check(Search(request, space, 60))
    outside = [
        key for key in space if not is_choice(space[key], value_of(recipe.model_dump(), key))
    ]
    assert outside == [], "the search begins with the default"
