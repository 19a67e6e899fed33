from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ncf.data.prepared import PreparedData
from ncf.evaluation.exact_lists import exact_lists
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.training.checkpoint import Checkpoint


@pytest.mark.parametrize("k", [1, 10, 30, 50])
def test_lists_are_those_that_a_bundle_of_the_checkpoint_gives(
    k: int, checkpoint: Checkpoint, data: PreparedData, bundle: Bundle
) -> None:
    users = np.arange(len(data.users))
    top = ExactRanker.open(bundle).rank(users, k)
    with ThreadPoolExecutor(2) as pool:
        lists = exact_lists(checkpoint.weights, data.interactions().csr(), pool=pool)(users, k)
    np.testing.assert_array_equal(lists, np.where(top.valid(), top.items, -1))


def test_known_items_are_never_listed_and_all_others_are(
    checkpoint: Checkpoint, data: PreparedData
) -> None:
    known = data.train.csr()
    lists = exact_lists(checkpoint.weights, known)(np.arange(len(data.users)), len(data.items))
    for user, row in enumerate(lists):
        others = np.setdiff1d(np.arange(len(data.items)), known[[user]].indices)
        assert np.array_equal(np.sort(row[row >= 0]), others)
        assert (row[others.size :] == -1).all()
