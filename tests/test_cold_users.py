"""Users without a training pair, as random splits make them: the model would give them noise."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from batch.audience import read_audience
from batch.filters import Filters
from batch.job import Job
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.verify import verify_run
from export.publish import publish
from export.source import Source
from export.verify import verify_bundle
from handlers.service import Service
from ncf.api.comparison import compare
from ncf.api.evaluation import Evaluation, evaluate
from ncf.artifacts import seal
from ncf.data.options import Format, Options, SplitKind
from ncf.data.prepare import prepare
from ncf.data.prepared import PreparedData, open_data
from ncf.devices import Device
from ncf.errors import ArtifactError, RequestError, UsageError
from ncf.evaluation.cold import cold_full, cold_sampled
from ncf.evaluation.full_ranking import Panel
from ncf.models.kinds import Kind
from ncf.policies import ColdUser, Policy, Strangers
from ncf.records import json_values
from ncf.scoring.bundle import COLD_FILE, Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.queries import Wishes
from ncf.scoring.recommend import Recommender
from ncf.training.checkpoint import Checkpoint
from tests.conftest import random_checkpoint
from tests.evaluation.worlds import data_of

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
Mask = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def world(ratings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world with 40 users of one interaction each, half of them in the test part."""
    folder = tmp_path_factory.mktemp("cold")
    rows = "".join(f"new{user},film {user % 30},5,9\n" for user in range(40))
    (folder / "ratings.csv").write_text(ratings_file.read_text() + rows)
    options = Options(split=SplitKind.RANDOM, test_ratio=0.5, negatives=5)
    prepare(folder / "ratings.csv", Format.CSV, folder / "data", options)
    return folder


@pytest.fixture(scope="module")
def data(world: Path) -> PreparedData:
    return open_data(world / "data")


@pytest.fixture(scope="module")
def checkpoint(world: Path, data: PreparedData) -> Checkpoint:
    return random_checkpoint(world / "gmf", data, Kind.GMF, layers=1)


@pytest.fixture(scope="module")
def bundle(world: Path, data: PreparedData, checkpoint: Checkpoint) -> Bundle:
    publish(Source(checkpoint, data, fold_in=False), world / "store", "ncf")
    return open_bundle(world / "store" / "ncf")


@pytest.fixture(scope="module")
def cold(data: PreparedData) -> Mask:
    """Found out the slow way."""
    mask = np.array([user not in set(data.train.users.tolist()) for user in range(len(data.users))])
    assert 5 < mask.sum() < len(mask) - 40
    return mask


def _popular(bundle: Bundle, user: int, k: int) -> list[str]:
    seen = set(bundle.seen.of(user).tolist())
    return [bundle.items.raw[item] for item in bundle.popular.tolist() if item not in seen][:k]


def test_the_bundle_says_who_they_are(bundle: Bundle, cold: Mask) -> None:
    assert bundle.cold.tolist() == np.flatnonzero(cold).tolist()
    assert [bundle.is_cold(user) for user in range(bundle.n_users)] == cold.tolist()
    golden = json.loads((bundle.path / "golden.json").read_bytes())["answers"]
    assert {each["policy"] for each in golden} == {"model", "popular"}
    assert verify_bundle(bundle.path)["golden_requests"] == len(golden)


def test_in_the_table_they_get_the_popular_items_that_they_have_not_seen(
    bundle: Bundle, cold: Mask, tmp_path: Path
) -> None:
    fresh = bundle.users.raw[int(np.flatnonzero(cold)[0])]
    best = _popular(bundle, int(np.flatnonzero(cold)[0]), 1)[0]
    (tmp_path / "seen.csv").write_text(f"user_id,item_id\n{fresh},{best}\nzoe,{best}\n")
    filters = Filters(seen=tmp_path / "seen.csv")
    found = run_batch(Job(bundle.path, tmp_path / "topk", 4, Device.CPU, 15, filters=filters), NOW)
    assert found["users_by_policy"] == {"model": int((~cold).sum()), "popular": int(cold.sum()) + 1}
    assert (found["cold_users"], found["unknown_users"]) == (int(cold.sum()), 1)
    table = read_latest(tmp_path / "topk")
    for user, raw in enumerate(bundle.users.raw):
        rows = table[table.user_id == raw]
        assert set(rows.policy) == {"popular" if cold[user] else "model"}
        if cold[user] and raw != fresh:
            assert rows.item_id.tolist() == _popular(bundle, user, 4)
            assert rows.score.isna().all()
    assert best not in set(table[table.user_id == fresh].item_id)
    assert best not in set(table[table.user_id == "zoe"].item_id)
    assert verify_run(found["table"], bundle.path, filters)["users"] == len(cold) + 1


def test_who_is_folded_in_between_trained_users_keeps_the_list_under_the_own_name(
    data: PreparedData, checkpoint: Checkpoint, cold: Mask, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data, min_history=1), tmp_path, "folding")
    bundle = open_bundle(tmp_path / "folding")
    first, last = (int(np.flatnonzero(each)[place]) for each, place in ((cold, 0), (~cold, -1)))
    assert 2 < first < last
    # As many as lie from user 0 to the first cold one, but another trained one in place of user 1.
    asked = [bundle.users.raw[user] for user in (0, *range(2, first), last, first)]
    (tmp_path / "users.csv").write_text("\n".join(["user_id", *asked]) + "\n")
    filters = Filters(users=tmp_path / "users.csv")
    found = run_batch(Job(bundle.path, tmp_path / "topk", 4, Device.CPU, filters=filters), NOW)
    assert found["users_by_policy"] == {"model": first, "popular": 0, "history": 1}
    table = read_latest(tmp_path / "topk")
    assert table.user_id.drop_duplicates().tolist() == asked
    alone = Recommender(bundle, ExactRanker.open(bundle))
    for user, rows in table.groupby("user_id"):
        own = alone.recommend(str(user), Wishes(4, exact=True))
        assert rows.item_id.tolist() == [each.item for each in own.items]


def test_some_users_and_strangers_left_out(bundle: Bundle, cold: Mask, tmp_path: Path) -> None:
    known, lost = (bundle.users.raw[int(np.flatnonzero(each)[-1])] for each in (~cold, cold))
    (tmp_path / "users.csv").write_text(f"user_id\n{lost}\nzoe\n{known}\n")
    audience = read_audience(bundle, Filters(users=tmp_path / "users.csv"))
    assert audience.raw_ids(audience.others(0, 3)) == [lost, "zoe"]
    assert (audience.n_trained, len(audience)) == (1, 3)
    few = read_audience(bundle, Filters(users=tmp_path / "users.csv", strangers=Strangers.SKIP))
    assert (few.n_trained, len(few), few.counts.cold_users) == (1, 1, 1)
    (tmp_path / "users.csv").write_text(f"user_id\n{lost}\n")
    with pytest.raises(UsageError, match="names no user whom the model"):
        read_audience(bundle, Filters(users=tmp_path / "users.csv", strangers=Strangers.SKIP))


def test_the_recommender_and_the_server_list_them_the_popular_items(
    bundle: Bundle, cold: Mask
) -> None:
    user = int(np.flatnonzero(cold)[0])
    raw, best = bundle.users.raw[user], _popular(bundle, user, 3)
    recommender = Recommender(bundle, ExactRanker.open(bundle))
    found = recommender.recommend(raw, Wishes(2))
    assert (found.policy, [each.item for each in found.items]) == (Policy.POPULAR, best[:2])
    without = recommender.recommend(raw, Wishes(2, (best[0],)))
    assert [each.item for each in without.items] == best[1:]
    own = [each.item for each in recommender.history(raw)]
    again = recommender.recommend(raw, Wishes(bundle.n_items, include_seen=True))
    assert set(own) < {each.item for each in again.items}
    with Service(bundle.path) as service:
        (answer,), _ = service.answer([{"body": {"user": raw, "k": 2}}])
        assert (answer.status, answer.policy) == (200, "popular")
        (answer,), _ = service.answer([{"body": {"user": "u3", "k": 2}}])
        assert answer.policy == "model"


def test_a_bundle_that_refuses_strangers_refuses_them(
    data: PreparedData, checkpoint: Checkpoint, cold: Mask, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data, ColdUser.ERROR, fold_in=False), tmp_path, "strict")
    bundle = open_bundle(tmp_path / "strict")
    raw = bundle.users.raw[int(np.flatnonzero(cold)[0])]
    with pytest.raises(RequestError, match=f"no training interaction of user '{raw}'") as caught:
        Recommender(bundle, ExactRanker.open(bundle)).recommend(raw, Wishes(2))
    assert caught.value.http_status == 404
    assert len(read_audience(bundle, Filters())) == int((~cold).sum())
    verify_bundle(bundle.path)


def test_bundles_of_before_tell_nobody_and_stay_readable(bundle: Bundle, tmp_path: Path) -> None:
    before = Path(shutil.copytree(bundle.path, tmp_path / "before"))
    (before / COLD_FILE).unlink()
    seal(before, BUNDLE, json_values(bundle.manifest))
    assert open_bundle(before).cold.size == 0
    assert read_audience(open_bundle(before), Filters()).unranked.size == 0


@pytest.mark.parametrize(
    "wrong", [np.array([3, 3]), np.array([-1]), np.array([99]), np.array([[1]]), np.array([1.0])]
)
def test_a_file_of_them_that_cannot_be_is_refused(
    wrong: npt.NDArray[np.generic], bundle: Bundle, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(bundle.path, tmp_path / "other"))
    np.save(other / COLD_FILE, wrong)
    seal(other, BUNDLE, json_values(bundle.manifest))
    with pytest.raises(ArtifactError, match="do not fit together"):
        open_bundle(other)


def test_data_without_any_writes_no_file_of_them(data_folder: Path, tmp_path: Path) -> None:
    everyone = open_data(data_folder)
    checkpoint = random_checkpoint(tmp_path / "gmf", everyone, Kind.GMF, layers=1)
    publish(Source(checkpoint, everyone, screen=False), tmp_path, "ncf")
    assert not (tmp_path / "ncf" / COLD_FILE).exists()


@pytest.mark.parametrize("protocol", ["sampled", "full"])
def test_evaluation_counts_them_apart(
    protocol: str, world: Path, data: PreparedData, checkpoint: Checkpoint, cold: Mask
) -> None:
    report = evaluate(checkpoint.path, world / "data", protocol=protocol, k=[1, 3])
    owners = data.test.positives.users
    apart = report.document["cold"]
    assert apart["users"] == len(set(owners[cold[owners]].tolist()))
    assert report.document["users"] == len(set(owners[~cold[owners]].tolist()))
    assert apart["cases"] + report.document["cases"] == owners.size
    assert [row["k"] for row in apart["metrics"]] == [1, 3]
    assert f"HR of those@3 ({protocol})" in report.readable()
    assert "left out; by popularity" in repr(report)
    compared = compare([checkpoint.path], world / "data", k=3, protocol=protocol)
    assert compared.document["users"] == report.document["users"]


def test_figures_of_popularity_by_hand() -> None:
    # Item 0 has three training pairs, item 1 two, item 2 one; user 3 has none, and 0 and 2 to find.
    train = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 2)]
    data = data_of(train, [(3, 0), (3, 2), (0, 2)], 4, 4)
    full = cold_full(data, [1, 3])
    assert full is not None
    assert (full["users"], full["cases"]) == (1, 2)
    assert [row["hr"] for row in full["metrics"]] == [1.0, 1.0]
    assert [row["recall"] for row in full["metrics"]] == [0.5, 1.0]
    data.test.negatives[:] = [[1], [1], [3]]
    sampled = cold_sampled(data, [1])
    assert sampled is not None
    assert (sampled["cases"], sampled["metrics"][0]["hr"]) == (2, 0.5)


def test_where_nobody_is_cold_nothing_is_said_of_them() -> None:
    data = data_of([(0, 0), (1, 1)], [(0, 1), (1, 2)], 2, 4)
    assert cold_full(data, [1]) is cold_sampled(data, [1]) is None
    assert "popularity" not in repr(Evaluation({"protocol": "full", "metrics": []}))


def test_where_only_they_have_test_cases_there_is_nothing_to_evaluate() -> None:
    data = data_of([(0, 0)], [(1, 0)], 2, 4)
    with pytest.raises(UsageError, match="no case to evaluate"):
        Panel.of(data)
