"""Prepared data made of pairs, without files."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from benchmarks.synthetic import made_up
from ncf.data.interactions import Cases, Interactions
from ncf.data.prepared import PreparedData
from ncf.identifiers import IdMap

Pair = tuple[int, int]


def data_of(
    train: Iterable[Pair],
    test: Iterable[Pair],
    n_users: int,
    n_items: int,
    validation: Iterable[Pair] = (),
) -> PreparedData:
    """Parts of the given pairs; cases have no sampled negatives."""

    def part(pairs: Iterable[Pair]) -> Interactions:
        array: npt.NDArray[np.int32] = np.array(list(pairs), np.int32).reshape(-1, 2)
        return Interactions(array[:, 0].copy(), array[:, 1].copy(), n_users, n_items)

    def cases(pairs: Iterable[Pair]) -> Cases:
        positives = part(pairs)
        return Cases(positives, np.full((len(positives), 1), -1, np.int32))

    users, items = (
        IdMap([f"{letter}{n}" for n in range(size)])
        for letter, size in (("u", n_users), ("i", n_items))
    )
    return PreparedData(
        users, items, part(train), cases(validation), cases(test), made_up(part(train))
    )
