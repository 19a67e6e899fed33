"""An epoch of ours against the tutorial's: draw negatives, train, evaluate the test part.

    ncf data prepare --ratings ml-1m-positive.csv.gz --format csv --split random \
        --negatives-exclude train --out data/ml-1m-positive
    python -m benchmarks.train --data data/ml-1m-positive --whole

The tutorial's way is timed on a slice of each phase and extrapolated. With ``--whole`` it also
trains in full, to compare HR@10 after as many epochs (its figures by its own evaluation on a
slice of the test cases would be noise: both are evaluated by ours, on all). Test figures by epoch
are for this comparison only: 'ncf train' selects by validation.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.batch import gemm_rate
from benchmarks.peers import tutorial
from ncf.data.prepared import PreparedData, open_data
from ncf.evaluation.protocols import sampled
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind, Variant
from ncf.models.networks import Network
from ncf.models.scorer import group_scorer
from ncf.progress import Reporter
from ncf.training.names import Named
from ncf.training.recipe import load_recipe, named_recipe, sparse_history
from ncf.training.request import Request, architecture_of
from ncf.training.sampled_epochs import SampledEpochs
from ncf.training.stage import Stage

POSITIVES, BATCHES, CASES = 20_000, 200, 300
"""Slices of the tutorial's phases."""

Phases = tuple[float, float, float]


def main() -> None:
    """Measure both, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Variant, default=Variant.NEUMF_END)
    parser.add_argument("--recipe", type=Named, default=Named.DEFAULT)
    parser.add_argument("--config", type=Path, help="changes to the recipe, as of ncf train")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", action="store_true", help="train the tutorial's way in full")
    arguments = parser.parse_args()
    data = open_data(arguments.data)
    # The tutorial has no validation part: it trains on all of the 80 %.
    data = replace(data, train=data.train.join(data.validation.positives))
    recipe = named_recipe(arguments.recipe, arguments.model, sparse_history(data.train))
    if arguments.config:
        recipe = load_recipe(arguments.config, recipe)
    recipe = recipe.model_copy(update={"seed": arguments.seed})
    shape = architecture_of(arguments.model, recipe, data)
    request = Request(arguments.model, recipe, Path("unused"))
    ours, found = our_epochs(request, data, arguments.epochs)
    tutorials_shape = replace(shape, gmf_factors=None, factors=32)
    theirs = tutorial_phases(tutorials_shape, data)
    schedule = recipe.schedule
    pairs = len(data.train) * (1 + schedule.negatives)
    if schedule.blocks is not None:
        pairs = len(data.users) * len(data.items)
    floor = pairs * 3 * flops_a_pair(shape) / gemm_rate()
    print(f"{'seconds an epoch':38} negatives    train  evaluate      all")
    for name, phases in (
        (f"tutorial, {tutorial.NEGATIVES} negatives (extrapolated)", theirs),
        ("ours, all items" if schedule.blocks else f"ours, {schedule.negatives} negatives", ours),
    ):
        columns = "".join(f"{seconds:10.2f}" for seconds in (*phases, sum(phases)))
        print(f"{name:38}{columns}")
    print(f"{'ratio':38}{'':30}{sum(theirs) / sum(ours):10.1f}")
    print(f"{'arithmetic of ours at the GEMM rate':38}{'':10}{floor:10.2f}")
    whole = tutorial_epochs(tutorials_shape, data, arguments) if arguments.whole else []
    print("epoch  HR@10  NDCG@10 (sampled, test)   tutorial's")
    for epoch, (hr, ndcg) in enumerate(found):
        peer = f"{whole[epoch][0]:.4f} {whole[epoch][1]:.4f}" if whole else "not trained"
        print(f"{epoch + 1:5}  {hr:.4f} {ndcg:.4f}                    {peer}")


def our_epochs(
    request: Request, data: PreparedData, epochs: int
) -> tuple[Phases, list[tuple[float, float]]]:
    """Seconds of each phase, means over epochs; and test HR and NDCG after each."""
    each = Stage(request, data, {}).epochs
    network = each.average.network  # what a checkpoint holds
    times, found = [], []
    seed = request.recipe.seed
    for epoch in range(epochs):
        drawing = 0.0
        if isinstance(each, SampledEpochs):
            drawing = timed(functools.partial(next, each.samples.batches(seed, epoch)))
        reporter = Reporter("train", None, None)
        training = timed(functools.partial(each.train, seed, epoch, reporter))
        evaluating = timed(lambda: found.append(figures_on_test(network, data)))
        times.append((drawing, training - drawing, evaluating))
    draw, train, evaluate = np.mean(times, axis=0).tolist()
    return (draw, train, evaluate), found


def tutorial_phases(shape: Architecture, data: PreparedData) -> Phases:
    """Seconds of each phase, from a slice of it."""
    samples = tutorial.TrainingSet(data.train)
    slice_ = samples.positives[:POSITIVES]
    drawing = timed(lambda: samples.draw(slice_)) * len(data.train) / POSITIVES
    model = tutorial.TutorialNetwork(shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    samples.samples = samples.samples[: BATCHES * tutorial.BATCH]
    steps = len(data.train) * (1 + tutorial.NEGATIVES) / tutorial.BATCH
    training = timed(lambda: tutorial.train(model, optimizer, samples)) * steps / BATCHES
    rows = np.column_stack([data.test.positives.items[:CASES], data.test.negatives[:CASES]])
    cases = tutorial.EvaluationSet(data.test.positives.users[:CASES].tolist(), rows.tolist())
    evaluating = timed(lambda: tutorial.evaluate(model, cases, rows.shape[1]))
    return drawing, training, evaluating * len(data.test.positives) / CASES


def tutorial_epochs(
    shape: Architecture, data: PreparedData, arguments: argparse.Namespace
) -> list[tuple[float, float]]:
    """Test HR and NDCG after each epoch of the tutorial's training, in full."""
    torch.manual_seed(arguments.seed)
    model = tutorial.TutorialNetwork(shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    samples = tutorial.TrainingSet(data.train)
    found = []
    for _ in range(arguments.epochs):
        samples.draw(samples.positives)
        tutorial.train(model, optimizer, samples)
        network = build(shape)
        network.load_state_dict(model.state_dict())
        found.append(figures_on_test(network, data))
    return found


def figures_on_test(model: Network, data: PreparedData) -> tuple[float, float]:
    """HR@10 and NDCG@10 on all test cases."""
    metrics = sampled(group_scorer(model), data.test, 10)
    return metrics.hr, metrics.ndcg


def flops_a_pair(shape: Architecture) -> float:
    """Floating point operations that no training can avoid, forward, per user and item."""
    widths = [shape.factors * 2**layer for layer in range(shape.layers)]
    later = sum(2 * a * b for a, b in itertools.pairwise(widths))
    gmf, mlp = 2 * shape.gmf_width, later + 2 * shape.factors
    return float({Kind.GMF: gmf, Kind.MLP: mlp, Kind.NEUMF: gmf + mlp}[shape.kind])


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
