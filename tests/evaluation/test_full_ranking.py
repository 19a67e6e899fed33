import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, UsageError
from ncf.evaluation import lists as streaming
from ncf.evaluation.beyond_accuracy import self_information
from ncf.evaluation.exact_lists import exact_lists
from ncf.evaluation.full_ranking import Panel, full
from ncf.evaluation.lists import Lists, Rank, Users
from ncf.evaluation.protocols import sampled
from ncf.models.scorer import group_scorer
from ncf.training.checkpoint import Checkpoint
from tests.evaluation.worlds import Pair, data_of
from tests.oracles import best_unseen, numpy_logit

Logits = npt.NDArray[np.float32]


def table_ranker(logits: Logits, known: set[Pair]) -> Rank:
    """Ranks from a table of users by items, the slow way."""

    def rank(users: Users, k: int) -> Lists:
        rows = []
        for user in users.tolist():
            seen = {item for owner, item in known if owner == user}
            best = best_unseen(dict(enumerate(logits[user].tolist())), seen, k)
            rows.append(best + [-1] * (min(k, logits.shape[1]) - len(best)))
        return np.array(rows, np.int64)

    return rank


def slow_figures(
    score: Callable[[int, int], float],
    parts: tuple[set[Pair], set[Pair], set[Pair]],
    sizes: tuple[int, int],
    k: int,
) -> dict[str, float]:
    """Every figure by its definition, a user at a time."""
    n_users, n_items = sizes
    train, validation, test = parts
    known = train | validation
    rows: list[dict[str, float]] = []
    listed: list[int] = []
    histories: list[tuple[list[float], float]] = []
    counts = {"unranked": 0, "untested": 0, "short_lists": 0, "cases": 0}
    for user in range(n_users):
        if not any(owner == user for owner, _ in train):
            continue  # the model knows nothing of them: they are counted apart
        candidates = [item for item in range(n_items) if (user, item) not in known]
        relevant = [item for item in candidates if (user, item) in test]
        if not any(owner == user for owner, _ in test):
            counts["untested"] += 1
            continue
        if not relevant or len(relevant) == len(candidates):
            counts["unranked"] += 1
            continue
        counts["short_lists"] += len(candidates) < k
        counts["cases"] += len(relevant)
        best = sorted(candidates, key=lambda item: (-score(user, item), item))[:k]
        listed += best
        at = [rank for rank, item in enumerate(best, 1) if item in relevant]
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
        couples = list(combinations(best, 2))
        had = {item: {u for u, i in train if i == item} for item in range(n_items)}
        shares = [len(had[item]) / n_users for u, item in train if u == user]
        surprise = [-math.log2(max(1, sum(item == i for _, i in train)) / n_users) for item in best]
        rows.append(
            {
                "hr": float(bool(at)),
                "ndcg": sum(1 / math.log2(rank + 1) for rank in at) / ideal,
                "recall": len(at) / len(relevant),
                "mrr": 1 / at[0] if at else 0.0,
                "precision": len(at) / k,
                "map": sum((n + 1) / rank for n, rank in enumerate(at)) / min(k, len(relevant)),
                "r_precision": sum(r <= len(relevant) for r in at) / min(k, len(relevant)),
                "novelty": sum(surprise) / len(best),
                "similarity": sum(cosine(had[i], had[j]) for i, j in couples)
                / max(1, len(couples)),
                "popularity": sum(len(had[item]) / n_users for item in best) / len(best),
            }
        )
        histories.append((shares, rows[-1]["popularity"]))
    figures: dict[str, float] = {
        **counts,
        "users": len(rows),
        "coverage": len(set(listed)) / n_items,
    }
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        figures[name] = sum(values) / len(values)
        variance = sum((value - figures[name]) ** 2 for value in values) / len(values)
        figures[f"{name}_se"] = math.sqrt(variance / len(values))
    history = [sum(shares) / len(shares) for shares, _ in histories if shares]
    of_these = [popularity for shares, popularity in histories if shares]
    mean = sum(history) / len(history) if history else 0.0
    figures["history_popularity"] = mean
    figures["popularity_lift"] = sum(of_these) / len(of_these) / mean - 1 if mean else 0.0
    times = [listed.count(item) for item in range(n_items)]
    apart = sum(abs(one - other) for one in times for other in times)
    figures["gini"] = apart / (2 * n_items * sum(times)) if sum(times) else 0.0
    return figures


def cosine(one: set[int], other: set[int]) -> float:
    """Cosine of the vectors of two items, by the users who have them."""
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_users=st.integers(1, 7),
    n_items=st.integers(1, 9),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
    leave_one_out=st.booleans(),
)
def test_every_figure_is_what_its_definition_gives(
    seed: int, n_users: int, n_items: int, lengths: list[int], *, leave_one_out: bool
) -> None:
    rng = np.random.default_rng(seed)
    # Few distinct values, so that ties abound.
    logits = rng.integers(0, 4, (n_users, n_items)).astype(np.float32)
    shares = rng.dirichlet([1, 1, 0.5, 0.5])
    part = rng.choice(4, (n_users, n_items), p=shares)
    nothing, train, validation, test = (
        {(u, i) for u, i in np.argwhere(part == n).tolist()} for n in range(4)
    )
    if leave_one_out:
        test = set(dict(sorted(test)).items())
    if nothing and rng.random() < 0.3:  # triples that others split may overlap
        test |= set(list(train)[:2])
    data = data_of(train, test, n_users, n_items, validation)
    rank = table_ranker(logits, train | validation)
    parts, sizes = (train, validation, test), (n_users, n_items)

    def score(user: int, item: int) -> float:
        return float(logits[user, item])

    expected = [slow_figures(score, parts, sizes, k) for k in lengths]
    if not expected[0]["users"]:
        with pytest.raises(UsageError):
            Panel.of(data)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "_USERS_AT_ONCE", 2)
        found = [full(rank, data, Panel.of(data), lengths)]
    found.append(full(rank, data, Panel.of(data), lengths))
    for metrics in found:
        document = asdict(metrics)
        assert [row["k"] for row in document["metrics"]] == lengths
        for row, slow in zip(document["metrics"], expected, strict=True):
            assert {**document, **row}.keys() - {
                "protocol",
                "k",
                "metrics",
                "segments",
            } == slow.keys()
            for name, value in slow.items():
                assert {**document, **row}[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("k", [1, 7, 30, 1000, 10**30])
def test_the_graphs_lists_give_the_figures_of_the_plain_formula(
    k: int, checkpoint: Checkpoint, data: PreparedData
) -> None:
    panel = Panel.of(data)
    with ThreadPoolExecutor(2) as pool:
        found = full(exact_lists(checkpoint.weights, panel.seen, pool=pool), data, panel, [k])

    def pairs(part: str) -> set[Pair]:
        which = data.train if part == "train" else getattr(data, part).positives
        return set(zip(which.users.tolist(), which.items.tolist(), strict=True))

    weights = checkpoint.weights
    table = [[numpy_logit(weights, user, item) for item in range(30)] for user in range(40)]
    parts = (pairs("train"), pairs("validation"), pairs("test"))
    expected = slow_figures(lambda user, item: table[user][item], parts, (40, 30), k)
    for name, value in found.metrics[0].items():
        if name != "k":
            assert value == pytest.approx(expected[name]), name


def test_against_all_candidates_as_the_sampled_ones_both_protocols_agree(
    checkpoint: Checkpoint, data: PreparedData
) -> None:
    panel = Panel.of(data)
    cases = data.test
    assert np.array_equal(panel.users, cases.positives.users)  # one test item each, all rankable
    known = data.interactions().csr()
    negatives = np.full((len(cases.positives), 30), -1, np.int32)
    for row, user in enumerate(cases.positives.users):
        unseen = np.setdiff1d(np.arange(30), known[[user]].indices)
        negatives[row, : unseen.size] = unseen
    whole = sampled(group_scorer(checkpoint.model()), replace(cases, negatives=negatives), 10)
    found = full(exact_lists(checkpoint.weights, panel.seen), data, panel, [10]).metrics[0]
    for name in ("hr", "hr_se", "ndcg", "ndcg_se", "mrr", "mrr_se"):
        assert found[name] == pytest.approx(getattr(whole, name)), name


def test_a_model_that_knows_the_test_items_is_perfect() -> None:
    test = {(0, 1), (0, 2), (1, 0)}
    data = data_of({(0, 0), (1, 1)}, test, 2, 5)
    logits = np.zeros((2, 5), np.float32)
    logits[tuple(zip(*test, strict=True))] = 1
    row = full(table_ranker(logits, {(0, 0), (1, 1)}), data, Panel.of(data), [2]).metrics[0]
    assert (row["hr"], row["ndcg"], row["recall"], row["mrr"]) == (1, 1, 1, 1)
    assert row["precision"] == pytest.approx(0.75)  # two of two, one of two


def test_who_cannot_be_ranked_is_counted() -> None:
    # User 0 is ranked; 1 has no test item; 2 only relevant candidates; 3's test item is known.
    train = {(0, 0), (1, 0), (2, 0), (3, 1)}
    data = data_of(train, {(0, 1), (2, 1), (2, 2), (3, 1)}, 4, 3)
    panel = Panel.of(data)
    assert panel.users.tolist() == [0]
    assert (panel.unranked, panel.untested) == (2, 1)
    found = full(table_ranker(np.zeros((4, 3), np.float32), train), data, panel, [2, 3])
    assert [row["short_lists"] for row in found.metrics] == [0, 1]


def test_items_that_nobody_has_in_training_surprise_as_those_that_one_user_has() -> None:
    data = data_of({(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (0, 2)}, {(1, 3)}, 4, 5)
    assert self_information(data).tolist() == [0, 1, 2, 2, 2]


def test_nobody_to_ask_is_an_error() -> None:
    only: set[Pair] = {(0, 0)}
    for train, test, n_items in ((only, set(), 3), (set(), only, 1), (only, only, 2)):
        with pytest.raises(UsageError):
            Panel.of(data_of(train, test, 1, n_items))


def test_some_of_the_users_have_the_figures_of_an_evaluation_of_them_alone() -> None:
    random = np.random.default_rng(5)
    pairs = [(int(u), int(i)) for u, i in random.permutation(list(np.ndindex(30, 12)))[:200]]
    train, test = set(pairs[:120]), set(pairs[120:])
    data, logits = data_of(train, test, 30, 12), random.normal(size=(30, 12)).astype(np.float32)
    everyone = Panel.of(data)
    some = everyone.at_most(7)
    assert some.users.size == 7
    assert {everyone.users[0], everyone.users[-1]} <= set(some.users.tolist())
    among = np.isin(np.arange(30), some.users)
    rank = table_ranker(logits, train)
    found, alone = (full(rank, data, each, [3]) for each in (some, Panel.of(data, among)))
    assert (found.metrics, found.segments) == (alone.metrics, alone.segments)
    assert (found.users, found.cases) == (alone.users, alone.cases)
    assert everyone.at_most(1000) is everyone


def test_a_length_under_one_is_refused() -> None:
    data = data_of({(0, 0)}, {(0, 1)}, 1, 3)
    with pytest.raises(UsageError, match="`k` 0"):
        full(table_ranker(np.zeros((1, 3), np.float32), set()), data, Panel.of(data), [5, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(
    value: float, checkpoint: Checkpoint, data: PreparedData
) -> None:
    broken = {**checkpoint.weights, "output.bias": np.array([value], np.float32)}
    panel = Panel.of(data)
    rank = exact_lists(broken, panel.seen)
    with pytest.raises(ArtifactError, match=r"the model (scores|gives)"):
        full(rank, data, panel, [3])


def test_memory_follows_the_block_and_not_users_times_length() -> None:
    sizes: list[int] = []

    def rank(users: Users, k: int) -> Lists:
        sizes.append(users.size * k)
        return np.zeros((users.size, 1), np.int64)

    users = np.arange(10_000)
    for k in (10, 100_000):
        for _ in streaming.stream((rank,), users, k):
            pass
    assert max(sizes) <= 1 << 22
