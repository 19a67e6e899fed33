"""GMF alone against implicit's ``recommend``: same factors, same filter, same answers up to ties.

python -m venv /tmp/peers && /tmp/peers/bin/pip install implicit==0.7.3
python -m benchmarks.gmf --peer /tmp/peers/bin/python [--users 20000 --items 30000]
"""

import argparse
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.synthetic import make_bundle, make_data
from ncf.devices import Device, usable_cores
from ncf.models.kinds import Kind
from ncf.scoring.exact import ExactRanker
from ncf.training.checkpoint import open_checkpoint

_PEER = Path(__file__).parent / "peers" / "implicit_recommend.py"
_REPEATS = 3
_TIE = 1e-5


def main() -> None:
    """Compare on one world, ours before and after the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="Python that has implicit.")
    parser.add_argument("--users", type=int, default=6038)
    parser.add_argument("--items", type=int, default=3533)
    parser.add_argument("--each", type=int, default=95, help="interactions a user")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = make_data(folder / "data", arguments.users, arguments.items, arguments.each)
        bundle = make_bundle(folder, data, Kind.GMF)
        items = open_checkpoint(folder / "checkpoint").weights["gmf.item.weight"]
        rows = np.array(bundle.user_rows)
        world, answer = folder / "world.npz", folder / "answer.npy"
        seen = bundle.seen
        np.savez(world, users=rows, items=items, starts=seen.starts, seen=seen.items)
        ranker = ExactRanker.open(bundle, Device.CPU, threads=1)
        everyone = np.arange(bundle.n_users)

        def ours() -> float:
            best = 0.0
            with ThreadPoolExecutor(usable_cores()) as pool:
                for _ in range(_REPEATS):
                    started = time.perf_counter()
                    ranker.rank(everyone, 10, pool)
                    best = max(best, bundle.n_users / (time.perf_counter() - started))
            return best

        first = ours()
        command = [arguments.peer, str(_PEER), str(world), str(answer)]
        theirs = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        second = ours()
        found, peer = ranker.rank(everyone, 10).items, np.load(answer)
    scores = [np.einsum("uf,ukf->uk", rows, items[each]) for each in (found, peer)]
    worst = float(np.abs(scores[0] - scores[1]).max())
    print(f"{arguments.users:,} users, {arguments.items:,} items, 32 factors, K = 10")
    print(f"implicit 0.7.3  {theirs:9,.0f} users/s")
    print(f"ours            {first:9,.0f} and {second:,.0f} users/s, before and after")
    print(f"ratio           {min(first, second) / theirs:9.2f}")
    print(f"largest difference of scores at any rank: {worst:.1e} (tie: below {_TIE})")


if __name__ == "__main__":
    main()
