"""The report of a training: figures beside baselines, and curves."""

import re
from pathlib import Path

import numpy as np
import pytest

import ncf
from ncf.data.prepared import open_data
from ncf.evaluation.baselines import neighbours, popularity
from ncf.training.checkpoint import Checkpoint
from tests.browser import SCHEMES, SIZES, browsing, executable
from tests.commands import done


def test_baselines_are_those_of_their_definition(data_folder: Path) -> None:
    data = open_data(data_folder)
    taken = np.zeros((len(data.users), len(data.items)))
    taken[data.train.users, data.train.items] = 1
    users = np.arange(len(data.users))
    items = np.tile(np.arange(len(data.items)), (users.size, 1))
    score = neighbours(data)
    assert score is not None
    norms = np.linalg.norm(taken, axis=0)
    cosine = (taken.T @ taken) / np.maximum(np.outer(norms, norms), 1e-9)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(score(users, items), taken @ cosine, atol=1e-5)
    order = np.argsort(-popularity(data)(users, items)[0], kind="stable")
    assert (np.diff(taken.sum(axis=0)[order]) <= 0).all()


def test_the_page_has_the_figures_that_evaluate_gives(
    checkpoint: Checkpoint, data_folder: Path, tmp_path: Path
) -> None:
    words = ("report", "--checkpoint", checkpoint.path, "--data", data_folder)
    assert done(*words, cwd=tmp_path) == "report.html\n"
    page = (tmp_path / "report.html").read_text()
    figures = ncf.evaluate(checkpoint.path, data_folder, k=10).document["metrics"][0]
    row = re.search(r"the model</td>(.*?)</tr>", page)
    assert row is not None
    assert f"{figures['hr']:.4f}" in row[1]
    assert f"{figures['ndcg']:.4f}" in row[1]
    assert "No more than one epoch was measured" in page
    assert "neighbours</td>" in page
    assert "popularity</td>" in page
    alone = ncf.report(checkpoint=checkpoint.path, out=tmp_path / "alone.html").read_text()
    assert "Beside baselines" not in alone
    assert checkpoint.manifest.digest in alone


def test_the_page_draws_the_history(data_folder: Path, tmp_path: Path) -> None:
    model = ncf.train(data_folder, "gmf", out=tmp_path / "gmf", config={"schedule": {"epochs": 3}})
    page = ncf.report(checkpoint=model, out=tmp_path / "r.html").read_text()
    epochs = len(model.frame())
    assert epochs > 1
    assert page.count("<svg") == 2
    assert page.count("<circle") == 3 * epochs  # loss; HR and NDCG
    assert f"epoch {model.figures['best_epoch']} is the best" in page


@pytest.mark.slow
def test_a_browser_opens_the_page(checkpoint: Checkpoint, tmp_path: Path) -> None:
    if (browser := executable()) is None:
        pytest.skip("there is no Chromium here")
    page = ncf.report(checkpoint=checkpoint.path, out=tmp_path / "r.html")
    with browsing(browser) as tab:
        for size in SIZES:
            for scheme in SCHEMES:
                tab.open(page, size, scheme)
                assert (tab.problems(), tab.fetched()) == ([], [page.as_uri()])
                width = "document.documentElement.scrollWidth <= window.innerWidth"
                assert tab.evaluate(width)
