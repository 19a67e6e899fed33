"""``ncf diff``: every figure against sums the slow way, on tables of any shape and style."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ncf
from batch.addresses import shown
from batch.diff import compare_runs
from batch.options import Layout, TableFormat
from batch.reading import find_run
from batch.runs import open_runs
from batch.tables import Style
from ncf.errors import ArtifactError
from ncf.evaluation.rank_biased import agreement
from ncf.scoring.bundle import Bundle, open_bundle
from tests.batch.written import LONG, Listed, Table, write_run
from tests.commands import done, refused

OLD, NEW = "20261124T030000Z-aaaaaaaa", "20261125T030000Z-bbbbbbbb"
STYLES = (
    LONG,
    Style(TableFormat.PARQUET, Layout.LIST),
    Style(TableFormat.CSV, Layout.LONG),
)

_ITEMS = st.lists(st.sampled_from([f"film {n}" for n in range(9)]), unique=True, max_size=6)


@st.composite
def _listed(draw: st.DrawFn) -> Listed:
    items = tuple(draw(_ITEMS))
    if draw(st.booleans()):
        return Listed(items, None)
    quarters = st.integers(-20, 20).map(lambda n: n / 4)  # exact in float32
    scores = draw(st.lists(quarters, min_size=len(items), max_size=len(items)))
    return Listed(items, tuple(sorted(scores, reverse=True)))


_TABLES = st.dictionaries(
    st.sampled_from([f"user, “{n}”" for n in range(12)]), _listed(), min_size=1, max_size=10
)


def slow_rbo(one: tuple[str, ...], other: tuple[str, ...], p: float = 0.9) -> float:
    """RBO_ext by its definition: agreement by depth, sets that are cut anew at each."""
    short, long = sorted([one, other], key=len)
    s, size = len(short), len(long)

    def x(depth: int) -> int:
        return len(set(short[:depth]) & set(long[:depth]))

    summed = sum(x(d) / d * p**d for d in range(1, size + 1))
    summed += sum(x(s) * (d - s) / (s * d) * p**d for d in range(s + 1, size + 1))
    return (1 - p) / p * summed + ((x(size) - x(s)) / size + x(s) / s) * p**size


def slow_gini(counts: list[int]) -> float:
    """Half of the relative mean difference of all pairs."""
    n, total = len(counts), sum(counts)
    return sum(abs(x - y) for x in counts for y in counts) / (2 * n * total) if total else 0.0


def places_in(table: Table) -> dict[str, int]:
    found: dict[str, int] = {}
    for listed in table.values():
        for item in listed.items:
            found[item] = found.get(item, 0) + 1
    return found


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    a=_TABLES,
    b=_TABLES,
    styles=st.tuples(st.sampled_from(STYLES), st.sampled_from(STYLES)),
    ks=st.tuples(st.integers(6, 7), st.integers(2, 7)),
    bucket=st.sampled_from([1, 5, 1 << 20]),
)
def test_figures_are_those_of_the_definition(
    a: Table,
    b: Table,
    styles: tuple[Style, Style],
    ks: tuple[int, int],
    bucket: int,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batch.buckets.ROWS_A_BUCKET", bucket)
    out = tmp_path_factory.mktemp("topk")
    b = {
        user: Listed(each.items[: ks[1]], each.scores and each.scores[: ks[1]])
        for user, each in reversed(b.items())
    }  # fmt: skip - in another order
    for name, table, style, k in ((OLD, a, styles[0], ks[0]), (NEW, b, styles[1], ks[1])):
        write_run(out, name, table, style, k=k)
    found = compare_runs(find_run(OLD, out).source, find_run(NEW, out).source, top=3)
    a, b = ({u: each for u, each in table.items() if each.items} for table in (a, b))
    k = min(ks)
    common = a.keys() & b.keys()
    assert found["changes"] == {
        "kept": len(common),
        "added": len(b.keys() - a.keys()),
        "gone": len(a.keys() - b.keys()),
        "same_list": sum(a[user].items[:k] == b[user].items[:k] for user in common),
        "to_popular": sum(a[u].policy != "popular" == b[u].policy for u in common),
        "from_popular": sum(b[u].policy != "popular" == a[u].policy for u in common),
    }
    _check_agreement(found, {user: (a[user].items[:k], b[user].items[:k]) for user in common})
    _check_shift(found, a, b, k)
    items = sorted(places_in(a).keys() | places_in(b).keys())
    change = {item: places_in(b).get(item, 0) - places_in(a).get(item, 0) for item in items}
    gained = sorted((-places, item) for item, places in change.items() if places > 0)[:3]
    lost = sorted((places, item) for item, places in change.items() if places < 0)[:3]
    assert [(-each["change"], each["item"]) for each in found["gained"]] == gained
    assert [(each["change"], each["item"]) for each in found["lost"]] == lost
    for table, side in ((a, found["a"]), (b, found["b"])):
        _check_table(table, side, items)


def _check_agreement(
    found: dict[str, object], lists: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> None:
    overlap = [
        len(set(one) & set(other)) / max(len(one), len(other)) for one, other in lists.values()
    ]
    ranked = {user: slow_rbo(*pair) for user, pair in lists.items()}
    for name, values in (("overlap", overlap), ("rank_biased_overlap", list(ranked.values()))):
        figures = found[name]
        assert isinstance(figures, dict)
        if not values:
            assert set(figures.values()) == {None}
            continue
        assert figures.pop("mean") == pytest.approx(np.mean(values))
        for quantile, value in figures.items():
            expected = np.quantile(values, int(quantile[1:]) / 100, method="inverted_cdf")
            assert value == pytest.approx(expected, abs=5.1e-5)
    changed = found["most_changed"]
    assert isinstance(changed, list)
    least = sorted(value for value in ranked.values() if value < 1 - 1e-9)[:3]
    assert [each["rank_biased_overlap"] for each in changed] == pytest.approx(least)
    assert all(ranked[e["user"]] == pytest.approx(e["rank_biased_overlap"]) for e in changed)


def _check_shift(found: dict[str, object], a: Table, b: Table, k: int) -> None:
    moved = []
    for user in a.keys() & b.keys():
        one, other = a[user], b[user]
        if one.scores is not None and other.scores is not None:
            old = dict(zip(one.items[:k], one.scores, strict=False))
            new = dict(zip(other.items[:k], other.scores, strict=False))
            moved += [new[item] - old[item] for item in old.keys() & new.keys()]
    shift = found["score_shift"]
    assert isinstance(shift, dict)
    assert shift["pairs"] == len(moved)
    if moved:
        assert shift["mean"] == pytest.approx(np.mean(moved), abs=1e-9)
        assert shift["mean_absolute"] == pytest.approx(np.mean(np.abs(moved)), abs=1e-9)


def _check_table(table: Table, side: dict[str, object], items: list[str]) -> None:
    counts = [places_in(table).get(item, 0) for item in items]
    scores = [score for each in table.values() for score in each.scores or ()]
    several = [each.scores for each in table.values() if each.scores and len(each.scores) > 1]
    assert side["users"] == len(table)
    assert side["rows"] == sum(counts)
    assert side["items"] == sum(count > 0 for count in counts)
    assert side["coverage"] == (side["items"] / len(items) if items else 0.0)
    assert side["gini"] == pytest.approx(slow_gini(counts), abs=1e-12)
    top = max(counts, default=0) / max(1, sum(counts))  # one of fewer than a hundred
    assert side["top_percent_share"] == pytest.approx(top)
    assert side["score_mean"] == (pytest.approx(np.mean(scores)) if scores else None)
    if scores:
        assert side["score_deviation"] == pytest.approx(np.std(scores), abs=1e-6)
    flat = [len(set(each)) == 1 for each in several]
    assert side["constant_lists"] == (np.mean(flat) if flat else 0.0)
    policies = [each.policy.value for each in table.values()]
    assert side["popular_share"] == policies.count("popular") / max(1, len(policies))


def test_rank_biased_overlap_of_long_and_uneven_lists_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(5)
    for size in (1, 10, 50):
        lists = [
            [tuple(rng.permutation(2 * size)[: rng.integers(1, size + 1)]) for _ in range(40)]
            for _ in range(2)
        ]
        one, other = (
            np.array([[*each, *[-1] * (size - len(each))] for each in some]) for some in lists
        )
        expected = [slow_rbo(*pair) for pair in zip(*lists, strict=True)]
        np.testing.assert_allclose(agreement(one, other)[1], expected, atol=1e-12)


@pytest.fixture
def two(bundle: Bundle, tmp_path: Path) -> Path:
    """Two tables of one small bundle: with half of the users, then with all."""
    (tmp_path / "half.csv").write_text(
        "user_id\n" + "\n".join(bundle.users.raw[: bundle.n_users // 2])
    )
    for options in (("--users", tmp_path / "half.csv"), ()):
        done("batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", *options, cwd=tmp_path)
    return tmp_path


def test_the_command_compares_the_newest_two_and_the_call_does_the_same(
    bundle: Bundle, two: Path
) -> None:
    printed = json.loads(done("diff", "--bundle", bundle.path, "--json", cwd=two))
    half = bundle.n_users // 2
    assert printed["changes"]["kept"] == printed["changes"]["same_list"] == half
    assert printed["changes"]["added"] == bundle.n_users - half
    assert printed["overlap"]["mean"] == printed["rank_biased_overlap"]["p01"] == 1
    old, new = (printed[side]["table"] for side in "ab")
    for pair in ((old, new), (printed["a"]["run"], printed["b"]["run"]), (old,), (old, "topk")):
        words = ("diff", *pair, "--bundle", bundle.path, "--json")
        assert json.loads(done(*words, cwd=two)) == printed
    called = ncf.diff(old, new, bundle=bundle.path)
    assert dict(called) == printed
    titles = set(called.movers().title.dropna())
    assert titles
    assert titles <= set(bundle.items.titles)
    table = done("diff", "--bundle", bundle.path, cwd=two)
    assert re.search(rf"added +{bundle.n_users - half}\n", table)
    assert min(titles) in table


def test_novelty_and_coverage_are_those_of_the_bundles_catalogue(bundle: Bundle, two: Path) -> None:
    found = ncf.diff(out=two / "topk", bundle=bundle.path)["b"]
    rows = ncf.read_latest(two / "topk")
    opened = open_bundle(bundle.path)
    seen = np.bincount(opened.seen.items, minlength=opened.n_items)
    items = opened.items.indices(rows.item_id.tolist())
    expected = [-np.log2(max(1, seen[item]) / opened.n_users) for item in items]
    assert found["novelty"] == pytest.approx(np.mean(expected))
    assert found["coverage"] == len(set(items.tolist())) / opened.n_items


def test_what_cannot_be_compared_is_one_line(two: Path) -> None:
    assert "run nowhere is not here" in refused("diff", "nowhere", cwd=two)
    assert "not here" in refused("diff", "./none/run", cwd=two)
    assert "--top -1 is less than 0" in refused("diff", "--top", -1, cwd=two)
    old, _ = sorted(
        each for each in (two / "topk").iterdir() if each.is_dir() and each.name[0] != "."
    )
    alone = two / "alone"
    alone.mkdir()
    old.rename(alone / old.name)
    line = refused("diff", "--out", "alone", cwd=two)
    assert "has 1 of the two runs" in line
    part = next((alone / old.name).glob("part-*"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=part.name):
        ncf.diff(alone / old.name, two / "topk")


def test_runs_of_any_place_are_compared(bundle: Bundle, out: str) -> None:
    for k in (2, 3):
        ncf.batch(bundle.path, out=out, k=k, device="cpu")
    found = ncf.diff(out=out)
    assert (found["k"], found["changes"]["same_list"]) == (2, bundle.n_users)
    assert (found["a"]["rows"], found["b"]["rows"]) == (2 * bundle.n_users, 3 * bundle.n_users)
    assert ncf.diff(found["a"]["run"], out=out) == found
    with pytest.raises(ArtifactError, match="is not here"):
        ncf.diff("20200101T000000Z-00000000", out=out)


def test_a_run_of_any_place_is_read_and_compared_by_itself(bundle: Bundle, out: str) -> None:
    first, second = (ncf.batch(bundle.path, out=out, k=k, device="cpu") for k in (2, 3))
    pd.testing.assert_frame_equal(second.frame(), ncf.read_latest(out))
    found = ncf.diff(first, second)
    assert found["changes"]["same_list"] == bundle.n_users
    assert ncf.diff(first.table, second.table) == found
    assert ncf.verify(run=second)["rows"] == 3 * bundle.n_users
    assert ncf.batch(bundle.path, out=out, k=2, like=first.table).figures["mode"] == "exact"


def test_credentials_of_an_address_are_not_shown() -> None:
    uri = "s3://key:secret@tables/topk?region=eu-west-1"
    run = ncf.Run({"run": OLD, "table": shown(uri, OLD), "users": 1, "rows": 1}, uri)
    assert run.table == f"s3://key:secret@tables/topk/{OLD}?region=eu-west-1"
    assert repr(run).startswith(f"Run('s3://***@tables/topk/{OLD}?region=eu-west-1'")


def test_a_manifest_that_was_changed_is_not_compared(two: Path) -> None:
    name = open_runs(two / "topk").latest()
    manifest = two / "topk" / name / "_manifest.json"
    manifest.write_text(manifest.read_text().replace('"k": 3', '"k": 2'))
    line = refused("diff", cwd=two)
    assert f"run {name} is damaged (the manifest differs from its own digest)" in line
