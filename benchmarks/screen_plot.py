"""Plot recall of screened lists against candidates and rank, for trained models.

Recall is that of the choosing users' exact lists of ten, by where the best items stand in the
guess: what the graph would find with so many candidates.

    python -m benchmarks.screen_plot --out docs/screening.png \
        'NeuMF, ML-100K' checkpoints/neumf-end data/ml-100k
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from export.screen.judging import Judges
from export.screen.regression import fit_guess
from export.screen.sampling import ExactLogits, sample_groups
from ncf.data.prepared import open_data
from ncf.graphs.topk import user_rows
from ncf.training.checkpoint import open_checkpoint

_K = 10
_RANKS = (4, 8, 16, 32, 64, 128)
_CANDIDATES = np.unique(np.geomspace(_K, 500, 60).astype(np.int64))


def recall_curves(checkpoint: Path, data: Path) -> dict[int, npt.NDArray[np.float64]]:
    """Recall at each number of candidates, by rank."""
    weights, seen = open_checkpoint(checkpoint).weights, open_data(data).interactions().csr()
    rows = np.concatenate(list(user_rows(weights)))
    exact = ExactLogits(weights, rows, seen)
    groups = sample_groups(*seen.shape, seed=0)
    fitted = fit_guess(weights, exact, groups.fit, _RANKS[-1], np.random.default_rng(0))
    judges = Judges.of(exact, groups.choose, [_K])
    curves = {}
    for rank in _RANKS:
        found = judges.places(fitted.at_rank(rank))[1][judges.truth.valid]
        curves[rank] = np.array([np.mean(found <= count) for count in _CANDIDATES])
    return curves


def main() -> None:
    """Draw one panel a model, misses on a logarithmic axis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("models", nargs="+", help="title, checkpoint and data, each in turn")
    arguments = parser.parse_args()
    models = iter(arguments.models)
    panels = list(zip(models, models, models, strict=True))
    mpl.rcParams.update({"font.size": 9})
    columns = (len(panels) + 1) // 2
    figure = Figure(figsize=(3.4 * columns, 5.6), layout="tight")
    axes = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
    for axis, (title, checkpoint, data) in zip(axes.ravel(order="F"), panels, strict=False):
        for rank, curve in recall_curves(Path(checkpoint), Path(data)).items():
            axis.plot(_CANDIDATES, np.maximum(1 - curve, 1e-5), label=f"rank {rank}")
            needed = _CANDIDATES[curve >= 0.999]
            print(f"{title}, rank {rank}: recall 0.999 with {needed[:1]} candidates")
        axis.axhline(1e-3, color="grey", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", yscale="log", title=title, ylim=(8e-5, 1))
    for axis in axes[-1]:
        axis.set_xlabel("candidates")
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the top 10 missed")
    axes[0, -1].legend(fontsize=8)
    figure.savefig(arguments.out, metadata={"Software": None})


if __name__ == "__main__":
    main()
