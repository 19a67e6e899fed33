import numpy as np
import numpy.typing as npt
import pytest

from export.screen.lowrank import fit_basis, low_rank


def _logits(users: int, items: int, rank: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """A common part that is large, and a part of low rank in which users differ."""
    rng = np.random.default_rng(seed)
    common = 10 * rng.normal(size=items)
    differing = rng.normal(size=(users, rank)) @ rng.normal(size=(rank, items))
    return (common + differing).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_logits_of_low_rank_are_read_off_as_many_landmarks(rank: int) -> None:
    logits = _logits(60, 200, rank)
    basis = fit_basis(logits[:40].copy(), 16)
    assert basis.vectors.shape == (rank, 200)  # not the sixteen that were asked for
    stand_in = low_rank(basis, 16, rank, np.random.default_rng(0))
    assert stand_in.landmarks.size == rank
    others = logits[40:]
    guessed = stand_in.logits(others[:, stand_in.landmarks])
    np.testing.assert_allclose(guessed, others, atol=2e-3)


def test_the_basis_is_that_of_the_singular_value_decomposition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.screen.lowrank._ITEMS_AT_ONCE", 13)
    logits = np.random.default_rng(1).normal(size=(20, 50)).astype(np.float32)
    basis = fit_basis(logits.copy(), 5)
    np.testing.assert_allclose(basis.mean, logits.mean(axis=0), atol=1e-6)
    _, _, expected = np.linalg.svd(logits - logits.mean(axis=0), full_matrices=False)
    cosines = np.abs((basis.vectors * expected[:5]).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_users_who_are_all_alike_need_no_basis() -> None:
    logits = np.tile(np.arange(30, dtype=np.float32), (10, 1))
    stand_in = low_rank(fit_basis(logits.copy(), 8), 8, 12, np.random.default_rng(0))
    assert stand_in.rank == 1
    guessed = stand_in.logits(logits[:1, stand_in.landmarks])
    np.testing.assert_allclose(guessed, logits[:1], atol=1e-5)


def test_landmarks_are_distinct_items_though_more_were_asked_for_than_there_are() -> None:
    stand_in = low_rank(fit_basis(_logits(20, 9, 4), 8), 8, 50, np.random.default_rng(0))
    assert stand_in.landmarks.tolist() == list(range(9))


def test_of_a_large_catalogue_a_sample_is_pivoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.screen.lowrank._PIVOTED_ITEMS", 40)
    logits = _logits(60, 500, 3)
    stand_in = low_rank(fit_basis(logits[:40].copy(), 3), 3, 6, np.random.default_rng(0))
    guessed = stand_in.logits(logits[40:, stand_in.landmarks])
    np.testing.assert_allclose(guessed, logits[40:], atol=2e-3)
