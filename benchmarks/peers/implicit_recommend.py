"""Time implicit's ``recommend`` over all users; runs in an environment of its own.

    python -m venv peers && peers/bin/pip install implicit==0.7.3
    peers/bin/python benchmarks/peers/implicit_recommend.py WORLD.npz ANSWER.npy

``WORLD.npz`` holds ``users`` and ``items`` (factors), ``starts`` and ``seen`` (CSR).
"""

import sys
import time

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse

_REPEATS = 3


def main() -> None:
    """Print users a second, the best of some repeats, and write the items."""
    world = np.load(sys.argv[1])
    users, items = world["users"], world["items"]
    model = AlternatingLeastSquares(factors=users.shape[1], num_threads=0)
    model.user_factors, model.item_factors = users, items
    ones = np.ones(world["seen"].size, np.float32)
    seen = sparse.csr_matrix((ones, world["seen"], world["starts"]), shape=(len(users), len(items)))
    everyone, best = np.arange(len(users)), 0.0
    for _ in range(_REPEATS):
        started = time.perf_counter()
        found, _ = model.recommend(everyone, seen, N=10, filter_already_liked_items=True)
        best = max(best, len(users) / (time.perf_counter() - started))
    np.save(sys.argv[2], found)
    print(best)


if __name__ == "__main__":
    main()
