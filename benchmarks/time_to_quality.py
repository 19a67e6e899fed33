"""Measure when the default recipes reach the quality that the sampled ones end at.

``python -m benchmarks.time_to_quality --data DIR`` trains each variant by the recipe ``sampled``
(the default of versions before block training) and by ``default``, in one run on one machine. It
prints the seconds from the start, parents included, until validation NDCG@10 first reaches what the
sampled recipe ended at.
"""

import argparse
import tempfile
import time
from pathlib import Path

from ncf.data.prepared import PreparedData, open_data
from ncf.models.kinds import Variant
from ncf.training.names import Named
from ncf.training.recipe import named_recipe, sparse_history
from ncf.training.request import Request
from ncf.training.train import prepare_stage

Curve = list[tuple[float, float]]
"""Seconds from the start, and validation NDCG@10, after each epoch."""


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Variant, action="append")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = open_data(arguments.data)
    print(f"{'':10} {'sampled':>17} {'default':>17} {'the same after':>15} {'ratio':>6}")
    for variant in arguments.model or list(Variant):
        old, new = (
            curve(variant, name, data, arguments.seed) for name in (Named.SAMPLED, Named.DEFAULT)
        )
        print(row(variant, old, new), flush=True)


def curve(variant: Variant, name: Named, data: PreparedData, seed: int) -> Curve:
    """Train a variant by a recipe, and note its validation figures."""
    recipe = named_recipe(name, variant, sparse_history(data.train)).model_copy(
        update={"seed": seed}
    )
    found: Curve = []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        stage = prepare_stage(Path(folder), Request(variant, recipe, Path(folder) / "c"), data)

        def watch() -> None:
            row = stage.progress.history[-1]
            found.append((time.perf_counter() - started, row.ndcg))

        stage.run(None, watch)
        found.append((time.perf_counter() - started, stage.progress.best_row.ndcg))
    return found


def row(variant: Variant, old: Curve, new: Curve) -> str:
    """Describe how soon the new curve reaches the best of the old one."""
    seconds, quality = old[-1]
    soon = next((at for at, ndcg in new if ndcg >= quality), None)
    ends = (f"{ndcg:.4f} {at:8.1f} s" for at, ndcg in (old[-1], new[-1]))
    reached = "not reached" if soon is None else f"{soon:.1f} s"
    ratio = "" if soon is None else f"{seconds / soon:.1f}"
    return f"{variant.value:10} {'  '.join(ends)} {reached:>15} {ratio:>6}"


if __name__ == "__main__":
    main()
