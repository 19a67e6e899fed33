"""Who wins a comparison: simple models against networks, and one protocol against the other."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import ncf
from ncf.api.verdicts import against_simple, side_by_side
from ncf.cli.compare import _print_verdicts
from ncf.errors import CapabilityError
from ncf.evaluation.comparison import OfUsers
from ncf.training.checkpoint import Checkpoint
from tests.api.conftest import QUICK
from tests.commands import done

N = 400


def _figures(mean: float, noise: float = 0.0) -> OfUsers:
    drawn = np.random.default_rng(int(mean * 1000)).normal(mean, noise, N)
    return OfUsers({"hr": drawn, "ndcg": drawn}, np.ones(N, np.int64))


def _checkpoint(variant: str) -> Checkpoint:
    return cast("Checkpoint", SimpleNamespace(manifest=SimpleNamespace(variant=variant)))


@pytest.mark.parametrize(
    ("means", "noise", "winner"),
    [
        ([0.3, 0.4, 0.2, 0.5], 0.01, "simple"),
        ([0.3, 0.6, 0.2, 0.5], 0.01, "network"),
        ([0.3, 0.5, 0.2, 0.501], 0.3, None),
    ],
)
def test_the_best_of_each_kind_are_compared(
    means: list[float], noise: float, winner: str | None
) -> None:
    models = [_checkpoint(name) for name in ("gmf", "neumf-pre", "popular", "ease")]
    found = against_simple(models, [_figures(each, noise) for each in means])
    assert found is not None
    assert (found["network"], found["simple"], found["winner"]) == (1, 3, winner)
    low, high = found["interval"]
    assert low <= found["difference"] <= high


def test_there_is_no_verdict_without_both_kinds() -> None:
    same = [_figures(0.3), _figures(0.4)]
    assert against_simple([_checkpoint("gmf"), _checkpoint("mlp")], same) is None
    assert against_simple([_checkpoint("ease"), _checkpoint("ials")], same) is None


def test_protocols_that_disagree_on_the_winner_are_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_protocol = {
        "sampled": [_figures(0.5), _figures(0.4)],
        "full": [_figures(0.1), _figures(0.2)],
    }
    found = side_by_side(by_protocol)
    assert (found["sampled"]["best"], found["full"]["best"], found["agree"]) == (0, 1, False)
    models = [{"variant": "gmf"}, {"variant": "mlp"}]
    document: dict[str, Any] = {"k": 10, "protocols": found, "models": models, "simple": None}
    _print_verdicts(document)
    printed = capsys.readouterr().out
    assert "warning: the protocols disagree on the winner: #1 by sampled, #2 by full" in printed
    assert "0.5000" in printed
    by_protocol["full"].reverse()
    assert side_by_side(by_protocol)["agree"]
    _print_verdicts({**document, "protocols": side_by_side(by_protocol)})
    assert "warning" not in capsys.readouterr().out


def test_baselines_are_trained_once_and_the_verdict_is_printed(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(_: int) -> None:
        raise CapabilityError("EASE needs more")

    monkeypatch.setattr("ncf.training.baselines.MOST_TRIES", 1)
    ncf.train(data_folder, "gmf", out=tmp_path / "gmf", config=QUICK, refit=False)
    with monkeypatch.context() as patch:
        patch.setattr("ncf.training.baseline_fits._require_memory", too_large)
        found = ncf.compare([tmp_path / "gmf"], data_folder, k=5, baselines=True)
    names = [each["variant"] for each in found.document["models"]]
    assert names == ["gmf", "popular", "item-knn", "ials"], "ease did not fit"
    before = {name: ncf.open_model(tmp_path / "baselines" / name).digest for name in names[1:]}
    words = ["compare", str(tmp_path / "gmf"), "--data", str(data_folder), "-k", "5"]
    printed = done(*words, "--baselines", cwd=tmp_path)
    assert "NDCG@5 (sampled)  NDCG@5 (full)" in printed
    assert " wins: " in printed or "no winner: " in printed
    after = {name: ncf.open_model(tmp_path / "baselines" / name).digest for name in names[1:]}
    assert after == before
    document = json.loads(
        done(*words, "--baselines-in", str(tmp_path / "baselines"), "--json", cwd=tmp_path)
    )
    assert [each["variant"] for each in document["models"]][3] == "ease"
    assert document["simple"]["figure"] == "ndcg"
