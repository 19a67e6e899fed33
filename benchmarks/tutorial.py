"""Test figures after each epoch with the tutorial's settings, beside what the tutorial printed.

Test figures by epoch are for this comparison only: 'ncf train' selects by validation.

    ncf data prepare --ratings ml-1m-positive.csv.gz --format csv --split random \
        --negatives-exclude train --out data/ml-1m-positive
    python -m benchmarks.tutorial --data data/ml-1m-positive --model gmf mlp
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from ncf.data.prepared import open_data
from ncf.evaluation.protocols import sampled
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.scorer import scorer
from ncf.progress import report
from ncf.training.epoch import Samples, train_epoch

# HR@10 after one, two and three epochs, random 80/20 split of ML-1M at rating 4 and above.
PRINTED = {Kind.GMF: (0.6525, 0.7042, 0.7249), Kind.MLP: (0.5890, 0.6518, 0.6923)}


def main() -> None:
    """Train each model for three epochs at batch 256 and learning rate 0.001."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Kind, nargs="+", default=list(PRINTED))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = open_data(arguments.data)
    print("HR and NDCG are sampled: against each case's 99 negatives")
    print("model  epoch  HR@10   tutorial  difference  NDCG@10  seconds (train + test)")
    for kind in arguments.model:
        architecture = Architecture(kind, len(data.users), len(data.items), 32, 3)
        torch.manual_seed(arguments.seed)
        model = build(architecture)
        optimizer = Adam(model.parameters(), lr=0.001, fused=True)
        # The tutorial has no validation part: it trains on all of the 80 %.
        train = data.train.join(data.validation.positives)
        samples = Samples(train, 4, 256)
        for epoch, printed in enumerate(PRINTED[kind]):
            started = time.monotonic()
            rng = np.random.default_rng([arguments.seed, epoch])
            with report(kind.value, len(samples)) as progress:
                train_epoch(model, optimizer, samples, rng, progress)
            trained = time.monotonic()
            found = sampled(scorer(model), data.test, 10)
            seconds = f"{trained - started:.1f} + {time.monotonic() - trained:.1f}"
            print(
                f"{kind.value:6} {epoch + 1:5}  {found.hr:.4f}  {printed:.4f}    "
                f"{found.hr - printed:+.4f}     {found.ndcg:.4f}   {seconds}",
                flush=True,
            )


if __name__ == "__main__":
    main()
