"""The guess of a screen against what it is to be, computed the slow way."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from export.screen.regression import fit_guess
from export.screen.sampling import ExactLogits
from ncf.graphs.topk import user_rows
from ncf.graphs.tower import heads
from ncf.models.architecture import Architecture
from ncf.models.kinds import Kind
from ncf.models.weights import Weights
from tests.worlds import drawn_weights

N_USERS, N_ITEMS = 400, 90
TOWERS = [Kind.MLP, Kind.NEUMF]


def _exact(weights: Weights) -> tuple[ExactLogits, npt.NDArray[np.float64]]:
    rows = np.concatenate(list(user_rows(weights)))
    nobody = sparse.csr_array(np.zeros((N_USERS, N_ITEMS), np.int8))
    exact = ExactLogits(weights, rows, nobody)
    everybody = np.arange(N_USERS)
    logits = exact.complete(exact.tower(everybody), everybody) - weights["output.bias"]
    return exact, logits.astype(np.float64)


def _weights(kind: Kind) -> Weights:
    return drawn_weights(Architecture(kind, N_USERS, N_ITEMS, 8, 3), 0, 0.5, tastes=2)


@pytest.mark.parametrize("kind", TOWERS)
def test_the_guess_explains_nearly_all_in_which_other_users_differ(kind: Kind) -> None:
    weights = _weights(kind)
    exact, logits = _exact(weights)
    rng = np.random.default_rng(0)
    fitted = fit_guess(weights, exact, np.arange(300), 64, rng)
    guess = fitted.full.logits(exact.rows(np.arange(300, 400)))
    others = logits[300:]
    left = (others - guess).var() / (others - others.mean(axis=0)).var()
    assert left < 0.02


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_rank_loses_no_more_than_the_best_approximation_of_that_rank(
    kind: Kind, rank: int
) -> None:
    weights = _weights(kind)
    exact, _ = _exact(weights)
    users = np.arange(300)
    rows = exact.rows(users)
    fitted = fit_guess(weights, exact, users, 200, np.random.default_rng(0))
    full = fitted.full.logits(rows).astype(np.float64)
    lost = np.linalg.norm(fitted.at_rank(rank).logits(rows) - full)
    singular = np.linalg.svd(full - full.mean(axis=0), compute_uv=False)
    assert lost <= np.linalg.norm(singular[rank:]) * 1.01 + 1e-2


def test_gmf_alone_is_guessed_exactly_at_its_own_rank() -> None:
    weights = _weights(Kind.NEUMF)
    gmf = heads(weights)[0].size
    weights["output.weight"][:, gmf:] = 0  # the tower says nothing
    exact, logits = _exact(weights)
    fitted = fit_guess(weights, exact, np.arange(300), 64, np.random.default_rng(0))
    guess = fitted.at_rank(gmf).logits(exact.rows(np.arange(N_USERS)))
    np.testing.assert_allclose(guess, logits, atol=2e-3 * np.abs(logits).max())


def test_users_who_are_all_alike_need_no_more_than_the_mean() -> None:
    weights = _weights(Kind.MLP)
    weights["mlp.user.weight"][:] = weights["mlp.user.weight"][:1]
    exact, logits = _exact(weights)
    fitted = fit_guess(weights, exact, np.arange(100), 4, np.random.default_rng(0))
    guess = fitted.full.logits(exact.rows(np.arange(3)))
    np.testing.assert_allclose(guess, logits[:3], atol=1e-3 * max(1, np.abs(logits).max()))


def test_more_users_to_fit_on_than_fit_into_a_block_are_all_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = _weights(Kind.NEUMF)
    exact, _ = _exact(weights)
    rows = exact.rows(np.arange(N_USERS))
    found = []
    for users, items in ((64, 1 << 13), (7, 11)):
        monkeypatch.setattr("export.screen.regression._AT_ONCE", users)
        monkeypatch.setattr("export.screen.regression._ITEMS_AT_ONCE", items)
        fitted = fit_guess(weights, exact, np.arange(200), 16, np.random.default_rng(0))
        found.append(fitted.full.logits(rows))
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
