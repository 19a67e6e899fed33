"""Time RecBole's ``full_sort_topk`` for a NeuMF of a bundle's size; in an environment of its own.

It runs with torch 2.13.0 (whose ``torch.load`` RecBole calls in the old way), numpy below 2, pandas
below 2.3 and scipy below 1.14:

    pip install recbole==1.2.1 torch==2.13.0 "numpy<2" "pandas<2.3" "scipy<1.14"
    python benchmarks/peers/recbole_topk.py BUNDLE USERS
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import NeuMF
from recbole.utils.case_study import full_sort_topk

_REPEATS = 3


def main() -> None:
    """Print users a second, the best of some repeats."""
    bundle, count = Path(sys.argv[1]), int(sys.argv[2])
    model = json.loads((bundle / "bundle.json").read_text())["model"]
    seen = np.load(bundle / "seen.npz")
    users = np.repeat(np.arange(model["n_users"]), np.diff(seen["indptr"]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "world")
        folder.mkdir()
        with (folder / "world.inter").open("w") as file:
            file.write("user_id:token\titem_id:token\n")
            file.writelines(f"{u}\t{i}\n" for u, i in zip(users, seen["indices"], strict=True))
        widest = model["factors"] * 2 ** (model["layers"] - 1)
        config = Config(
            model="NeuMF",
            dataset="world",
            config_dict={
                "data_path": scratch,
                "checkpoint_dir": scratch,
                "load_col": {"inter": ["user_id", "item_id"]},
                "mf_embedding_size": model["gmf_factors"],
                "mlp_embedding_size": widest,
                "mlp_hidden_size": [widest // 2**layer for layer in range(model["layers"])],
                "use_gpu": False,
                "show_progress": False,
                "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "mode": "full"},
            },
        )
        dataset = create_dataset(config)
        train, _, test = data_preparation(config, dataset)
        network = NeuMF(config, train.dataset).eval()
        some, best = np.arange(1, count + 1), 0.0
        for _ in range(_REPEATS):
            started = time.perf_counter()
            with torch.no_grad():
                full_sort_topk(some, network, test, k=10, device="cpu")
            best = max(best, count / (time.perf_counter() - started))
    print(best)


if __name__ == "__main__":
    main()
