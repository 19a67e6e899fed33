"""New items in an exported model: no checkpoint, no PyTorch, every graph proven again."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ncf
from batch.job import Job
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.verify import verify_run
from export.fold_in.row_scores import RowScores
from export.publish import publish
from export.source import Source
from export.verify import verify_bundle
from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.graphs.new_items import with_new_items
from ncf.scoring.bundle import Bundle, open_bundle
from tests.batch.test_strangers import NOW
from tests.oracles import numpy_logit

TODAY = """user_id,item_id
u3,premiere
u5,premiere
u5,premiere
u4,sequel
ghost,rumour
u3,film 1
"""


@pytest.fixture(scope="module")
def grown(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    store = tmp_path_factory.mktemp("grown")
    (store / "today.csv").write_text(TODAY)
    titles = {"premiere": "The Premiere"}
    found = ncf.add_items(bundle.path, store / "today.csv", titles=titles, out=store)
    assert (found.exported["new_items"], found.exported["new_pairs"]) == (2, 3)
    return open_bundle(store / "ncf")


def test_they_are_listed_with_titles_for_all_but_those_who_took_them(
    grown: Bundle, bundle: Bundle, tmp_path: Path
) -> None:
    assert verify_bundle(grown.path)["digest"] == grown.digest != bundle.digest
    assert list(grown.items.raw) == [*bundle.items.raw, "premiere", "sequel"]
    assert [grown.items.title(index) for index in (0, 30, 31)] == [
        bundle.items.title(0),
        "The Premiere",
        None,
    ]
    added = grown.manifest.new_items
    assert added is not None
    assert (added.parent, added.items_without_known_users) == (bundle.digest, 1)
    assert added.rows_of_known_items == 1
    found = run_batch(Job(grown.path, tmp_path, 32, Device.CPU), NOW)
    assert verify_run(found["table"], grown.path)["users"] == 40
    table = read_latest(tmp_path)
    for item, takers in (("premiere", {"u3", "u5"}), ("sequel", {"u4"})):
        listed = set(table[table.item_id == item].user_id)
        assert listed == set(grown.users.raw) - takers
    again = ncf.open_bundle(grown.path).recommend(history=["premiere", "film 1"], k=31)
    assert "premiere" not in set(again.item_id)
    assert len(again) == 30


def test_scores_of_old_items_stay_and_new_ones_follow_from_the_map(
    grown: Bundle, bundle: Bundle
) -> None:
    pairs = [(user, item) for user in ("u0", "u7") for item in bundle.items.raw]
    before = ncf.open_bundle(bundle.path).score(pairs).score
    np.testing.assert_array_equal(ncf.open_bundle(grown.path).score(pairs).score, before)
    rows = bundle.user_rows[bundle.users.indices(["u3", "u5"])]
    total, log = rows.sum(axis=0, dtype=float), np.log(3)
    x = np.concatenate([total / 2**0.5, total / 2, total * log / 2, [log, log * log, 1]])
    vector = x @ np.load(bundle.path / "item_map.npy").astype(float)
    learned = ncf.open_bundle(grown.path).similar_items("premiere", k=31)
    assert len(learned) == 31
    from export.growth import NAMES  # noqa: PLC0415 - the names of all weights
    from ncf.graphs.initializers import read_initializers  # noqa: PLC0415

    weights = read_initializers(grown.score_graph, NAMES)
    own = np.concatenate([weights["gmf.item.weight"][30], weights["mlp.item.weight"][30]])
    np.testing.assert_allclose(own, vector, rtol=1e-4, atol=1e-4)
    users = np.arange(4)
    items = np.tile([[0, 30, 31]], (4, 1))
    scores = RowScores(weights)(grown.user_rows[users], items)
    for user in users:
        expected = [numpy_logit(weights, int(user), item) for item in (0, 30, 31)]
        np.testing.assert_allclose(scores[user], expected, atol=1e-4)


def test_no_pytorch_is_needed(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "today.csv").write_text(TODAY)
    code = (
        "import sys, ncf\n"
        f"ncf.add_items({str(bundle.path)!r}, 'today.csv', out='store', name='more')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert open_bundle(tmp_path / "store" / "more").n_items == 32


def test_nothing_new_or_no_map_is_an_error(
    bundle: Bundle, checkpoint: object, data: object, tmp_path: Path
) -> None:
    (tmp_path / "today.csv").write_text("user_id,item_id\nu3,film 1\nghost,rumour\n")
    with pytest.raises(UsageError, match="no item is both new and taken by a user"):
        ncf.add_items(bundle.path, tmp_path / "today.csv", out=tmp_path)
    publish(Source(checkpoint, data, fold_in=False), tmp_path, "old")  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match="has no map of items"):
        ncf.add_items(tmp_path / "old", tmp_path / "today.csv", out=tmp_path, name="more")


def test_more_takers_do_not_change_the_others() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "gmf.item.weight": rng.normal(size=(3, 2)).astype(np.float32),
        "gmf.user.weight": rng.normal(size=(5, 2)).astype(np.float32),
    }
    item_map = rng.normal(size=(9, 2)).astype(np.float32)
    rows = weights["gmf.user.weight"]
    one = with_new_items(weights, rows, item_map, {0: np.array([1])})
    two = with_new_items(weights, rows, item_map, {0: np.array([1]), 1: np.array([0, 4])})
    np.testing.assert_array_equal(one["gmf.item.weight"], two["gmf.item.weight"][:4])
    np.testing.assert_array_equal(two["gmf.item.weight"][:3], weights["gmf.item.weight"])
