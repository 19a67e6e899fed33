import numpy as np

from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.seen import Fresh, Seen

USERS = np.array([2, 0, 2])
EXPORTED = Seen(np.array([0, 1, 1, 3]), np.array([4, 0, 3]), 5)  # user 0: 4; user 2: 0 and 3


def test_everything_seen_by_then_or_since_is_excluded_by_position() -> None:
    fresh = Fresh.of_pairs(np.array([0, 1]), np.array([1, 2]), 5)
    excluded = Eligibility.whole_catalogue(5, EXPORTED, fresh).excluded(USERS)
    assert sorted(map(tuple, excluded.tolist())) == [(0, 0), (0, 3), (1, 1), (1, 4), (2, 0), (2, 3)]


def test_nothing_is_excluded_where_nothing_is_known_to_be_seen() -> None:
    excluded = Eligibility.whole_catalogue(5).excluded(USERS)
    assert excluded.shape == (0, 2)
    assert excluded.dtype == np.int64


def test_the_mask_is_minus_infinity_for_what_nobody_may_get() -> None:
    eligibility = Eligibility(np.array([True, False, True]), ())
    assert eligibility.mask().tolist() == [0, -np.inf, 0]
    assert (eligibility.n_items, eligibility.count()) == (3, 2)


def test_a_bundle_lets_every_item_be_listed_but_for_what_was_seen(bundle: Bundle) -> None:
    users = np.arange(bundle.n_users)
    np.testing.assert_array_equal(bundle.eligibility.excluded(users), bundle.seen.pairs(users))
    assert bundle.eligibility.count() == bundle.n_items
