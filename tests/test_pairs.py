import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ncf.pairs import among, pair_keys, split_keys

some_pairs = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 6)), max_size=20)


@given(pairs=some_pairs, others=some_pairs)
def test_keys_order_and_tell_pairs_as_tuples_do(
    pairs: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    def keys(each: list[tuple[int, int]]) -> "np.typing.NDArray[np.int64]":
        # Indices as files hold them: a key may be larger than they are.
        array = np.array(each, np.int32).reshape(-1, 2)
        return pair_keys(array[:, 0], array[:, 1], 2**31)

    ascending = np.sort(keys(others))
    rows, columns = split_keys(ascending, 2**31)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == sorted(others)
    assert among(keys(pairs), ascending).tolist() == [pair in others for pair in pairs]
