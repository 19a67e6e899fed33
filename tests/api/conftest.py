"""The small world through the front door: data, a model, a bundle and a table in one folder."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

import ncf

QUICK = {"factors": 4, "schedule": {"epochs": 2, "batch_size": 64, "learning_rate": 0.02}}


@dataclass(frozen=True)
class World:
    """What the calls in ``folder`` gave, one after the other."""

    folder: Path
    data: ncf.Data
    model: ncf.Model
    bundle: ncf.Bundle
    run: ncf.Run


@pytest.fixture(scope="session")
def made(ratings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Paths in it are relative to its folder."""
    folder = tmp_path_factory.mktemp("world")
    with chdir(folder):
        titles = {f"film {item}": f"Film No. {item}" for item in range(0, 30, 2)}
        data = ncf.prepare(ratings_file, out="data/mine", titles=titles, negatives=12)
        model = ncf.train(data, "gmf", out="checkpoints/mine", config=QUICK)
        bundle = ncf.export(model, data, out="model_store", name="mine")
        run = ncf.batch(bundle, out="topk", k=2)
    return World(folder, data, model, bundle, run)


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """The world, in its folder; what a test writes stays there."""
    with chdir(made.folder):
        yield made
