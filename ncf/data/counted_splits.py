"""Split ratings in each of the ways, and count what was split and left out."""

import numpy as np

from ncf.data.given import split_given
from ncf.data.interactions import Interactions, latest_by_user
from ncf.data.manifests import Counts
from ncf.data.options import Options, SplitKind
from ncf.data.parts import PARTS
from ncf.data.ratings import Ratings
from ncf.data.splits import Split, leave_one_out, one_of_each_user, random_split, without_test
from ncf.data.time_split import split_time
from ncf.data.triple import Triple


def split_ratings(
    ratings: Ratings, options: Options, rng: np.random.Generator
) -> tuple[Split, Counts]:
    """Split ratings as the options say."""
    if options.split is SplitKind.GIVEN:
        given = split_given(ratings, rng)
        return given.split, Counts(
            rows=len(ratings.users) + ratings.dropped,
            under_min_rating=ratings.dropped,
            duplicates=given.duplicates,
            test_pairs_in_train=given.repeated,
            order="given",
            **ratings.reading.counts(),
            **_sizes(given.split),
        )
    if options.split is SplitKind.TIME:
        timed = split_time(ratings, options, rng)
        return timed.split, Counts(
            rows=len(ratings.users) + ratings.dropped,
            under_min_rating=ratings.dropped,
            duplicates=timed.duplicates,
            test_pairs_in_train=timed.repeated,
            order="time",
            test_from=timed.test_from,
            **ratings.reading.counts(),
            **_sizes(timed.split),
        )
    interactions, duplicates = latest_by_user(ratings)
    alone = None
    if options.split is SplitKind.RANDOM:
        split = random_split(interactions, options.test_ratio, rng)
    elif options.split is SplitKind.NONE:
        split = without_test(interactions, rng)
    else:
        counts = np.bincount(interactions.users, minlength=interactions.n_users)
        alone = int(np.count_nonzero(counts == 1))
        split = leave_one_out(interactions, rng)
    return split, Counts(
        rows=len(ratings.users) + ratings.dropped,
        under_min_rating=ratings.dropped,
        duplicates=duplicates,
        order="file" if ratings.timestamps is None else "time",
        users_without_test_case=alone,
        **ratings.reading.counts(),
        **_sizes(split),
    )


def split_triple(triple: Triple, rng: np.random.Generator) -> tuple[Split, Counts]:
    """Take the test part of a triple, and cut a validation part from its training part."""
    ratings, n_train = triple.ratings, triple.n_train
    times = None if ratings.timestamps is None else ratings.timestamps[:n_train]
    head = Ratings(ratings.users.slice(0, n_train), ratings.items.slice(0, n_train), times, 0)
    train, duplicates = latest_by_user(head)
    test = Interactions(
        ratings.users.indices.to_numpy()[n_train:],
        ratings.items.indices.to_numpy()[n_train:],
        train.n_users,
        train.n_items,
    )
    leaked = np.isin(train.keys(), test.keys())
    train = train.take(~leaked)
    chosen = one_of_each_user(train, np.ones(len(train), np.bool_), rng)
    split = Split(train.take(~chosen), train.take(chosen), test)
    return split, Counts(
        rows=len(ratings.users),
        duplicates=duplicates,
        test_pairs_in_train=int(np.count_nonzero(leaked)),
        order="given",
        **ratings.reading.counts(),
        **_sizes(split),
    )


def _sizes(split: Split) -> dict[str, int]:
    """Count the pairs of each part, and who and what has pairs but none in training."""
    sizes = {part: len(getattr(split, part)) for part in PARTS}
    held_out = split.validation.join(split.test)
    for name, of_all, of_train in (
        ("users_without_training_pair", held_out.users, split.train.users),
        ("items_without_training_pair", held_out.items, split.train.items),
    ):
        if count := np.setdiff1d(of_all, of_train).size:
            sizes[name] = count
    return sizes
