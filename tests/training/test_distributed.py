import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ncf.data.prepared import PreparedData, open_data
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind, Variant
from ncf.models.networks import GMF
from ncf.models.weights import Weights
from ncf.progress import Reporter
from ncf.training import optimizers
from ncf.training.average import Average
from ncf.training.block_epochs import BlockEpochs
from ncf.training.checkpoint import open_checkpoint, weights_of
from ncf.training.epoch import Batch, Learner, Samples, train_epoch
from ncf.training.history import load_history
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import ALONE, Ranks
from ncf.training.recipe import Recipe
from ncf.training.request import Request
from ncf.training.schedule import Blocks, Schedule
from ncf.training.stage import Stage
from tests.commands import done

ROOT = Path(__file__).parents[2]

_RECIPE = """
factors = 4
layers = 2
[schedule]
learning_rate = 0.02
batch_size = 60
epochs = 8
patience = 8
l2 = 1e-4
[parents.gmf]
learning_rate = 0.02
epochs = 3
[parents.mlp]
learning_rate = 0.02
epochs = 3
"""


def launch(processes: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a script or ``-m MODULE`` with its arguments in some processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    own = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *launcher, *address, *command],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def _run(processes: int, arguments: list[str], out: Path) -> subprocess.CompletedProcess[str]:
    return launch(processes, ["-m", "ncf", "train", *arguments, "--out", str(out), "--json"])


@pytest.fixture(scope="module")
def world(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two processes have trained (``2``), and the recipe."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "recipe.toml").write_text(_RECIPE)
    ended = _run(2, _arguments(data_folder, folder), folder / "2")
    assert ended.returncode == 0, ended.stderr
    # Only one of them speaks, and writes.
    assert open_checkpoint(folder / "2").digest == json.loads(ended.stdout)["digest"]
    (folder / "2.json").write_text(ended.stdout)
    return folder


def _arguments(data_folder: Path, folder: Path) -> list[str]:
    recipe = str(folder / "recipe.toml")
    return ["--data", str(data_folder), "--model", "neumf-pre", "--config", recipe]


def test_two_processes_train_as_well_as_one(data_folder: Path, world: Path) -> None:
    words = ["train", *_arguments(data_folder, world), "--out", "1", "--json"]
    found = [json.loads(done(*words, cwd=world)), json.loads((world / "2.json").read_text())]
    for out in ("1", "2"):
        assert set(open_checkpoint(world / out).manifest.parents) == {"gmf", "mlp"}
    assert abs(found[0]["ndcg"] - found[1]["ndcg"]) < 0.1
    for out in ("1", "2"):
        refitted = open_checkpoint(world / out).manifest
        assert refitted.product is not None
        assert refitted.product.interactions == len(open_data(data_folder).interactions())
        assert refitted.product.epochs == refitted.validation.best_epoch
    histories = [load_history(world / out) for out in ("1", "2")]
    losses = [[row.loss or 0.0 for row in history[1:]] for history in histories]
    # The same pairs and number of steps; other negatives, and a mix chosen on few cases.
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=0.3)
    assert sorted(path.name for path in world.iterdir() if path.is_dir()) == ["1", "2"]


def test_two_processes_end_with_the_same_weights_each_time(
    data_folder: Path, world: Path, tmp_path: Path
) -> None:
    ended = _run(2, _arguments(data_folder, world), tmp_path / "b")
    assert ended.returncode == 0, ended.stderr
    first, second = (open_checkpoint(out) for out in (world / "2", tmp_path / "b"))
    assert first.product is not None
    assert second.product is not None
    for name, array in first.weights.items():
        np.testing.assert_array_equal(array, second.weights[name])
        np.testing.assert_array_equal(first.product[name], second.product[name])
        assert not np.array_equal(array, first.product[name])


@pytest.mark.parametrize("processes", [1, 2])
def test_gradients_are_sparse_only_where_no_other_process_averages_them(
    processes: int, data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "_SPARSE_FROM", 0)
    monkeypatch.setattr(Ranks, "wrap", lambda _, model: model)
    ranks = Ranks(0, processes)
    stage = Stage(Request(Variant.NEUMF_END, Recipe(), tmp_path, ranks=ranks), data, {})
    tables = [table for each in stage.model.branches() for table in (each.user, each.item)]
    assert [table.sparse for table in tables] == [processes == 1] * 4


def test_bad_input_ends_all_processes(data_folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text("factors = 0")
    arguments = ["--data", str(data_folder), "--model", "gmf", "--config", str(recipe)]
    ended = _run(2, arguments, tmp_path / "c")
    assert ended.returncode != 0
    assert "factors = 0" in ended.stderr
    assert not (tmp_path / "c").exists()


_EPOCH = """
import sys
from pathlib import Path
import numpy as np, torch
from ncf.data.prepared import open_data
from ncf.training.ranks import joined
from tests.training.test_distributed import one_block_epoch, one_epoch
torch.set_num_threads(1)
with joined("cpu") as (ranks, _):
    data = open_data(Path(sys.argv[1]))
    weights = one_epoch(data, ranks) | one_block_epoch(data, ranks)
    np.savez(Path(sys.argv[2]) / f"{ranks.rank}.npz", **weights)
"""
_SEED = 3


_SCHEDULE = Schedule(learning_rate=0.01, batch_size=20, negatives=4)


def _samples(data: PreparedData, ranks: Ranks) -> Samples:
    return Samples(data.train, 4, _SCHEDULE.batch_size, torch.device("cpu"), ranks)


def _learner(data: PreparedData, ranks: Ranks) -> Learner:
    torch.manual_seed(_SEED)
    network = build(Architecture(Kind.NEUMF, len(data.users), len(data.items), 4, 2))
    own = Optimizers(network, _SCHEDULE, 4, 20, by_row=False)
    average = Average(network, 0.2)
    return Learner(network, ranks.wrap(network), own, average, l2=0.01)


def one_epoch(data: PreparedData, ranks: Ranks) -> Weights:
    """Train one epoch as one of some processes."""
    learner = _learner(data, ranks)
    train_epoch(learner, _samples(data, ranks), _SEED, 0, Reporter("train", None, None))
    return weights_of(learner.network)


def _block_epochs(data: PreparedData, ranks: Ranks) -> BlockEpochs:
    torch.manual_seed(_SEED)
    network = GMF(len(data.users), len(data.items), 4)
    blocks = Blocks(users=6, steps=2, items=1000)
    schedule = Schedule(learning_rate=0.05, l2=0.1, averaging=0.0, blocks=blocks)
    return BlockEpochs(network, schedule, blocks, data.train, ranks)


def one_block_epoch(data: PreparedData, ranks: Ranks) -> Weights:
    """Train one epoch by blocks as one of some processes."""
    epochs = _block_epochs(data, ranks)
    epochs.train(_SEED, 0, Reporter("train", None, None))
    found = weights_of(epochs.average.network)
    return {f"block.{name}": array for name, array in found.items()}


def _blocks_of_both(data: PreparedData) -> Weights:
    """The slow way: one process, which joins the blocks of both at each step."""
    alone = _block_epochs(data, ALONE)
    both = [_block_epochs(data, Ranks(rank, 2))._parts(_SEED, 0) for rank in range(2)]
    for parts in zip(*both, strict=True):
        users = torch.cat([users for users, *_ in parts])
        pairs = alone._seen.of(users)
        alone._step(users, pairs, parts[0][2], 0, with_loss=False)
    return weights_of(alone._model)


def test_processes_take_the_steps_that_one_would_take_with_all_their_batches(
    data_folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "epoch.py"
    script.write_text(_EPOCH)
    ended = launch(2, [str(script), str(data_folder), str(tmp_path)])
    assert ended.returncode == 0, ended.stderr
    found = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    # The slow way: one process, which joins the batches of both at each step.
    data = open_data(data_folder)
    learner = _learner(data, ALONE)
    learner.network.train()
    both = [_samples(data, Ranks(rank, 2)).batches(_SEED, 0) for rank in range(2)]
    for first, second in zip(*both, strict=True):
        learner.step(Batch(*(torch.cat(parts) for parts in zip(first, second, strict=True))))
    learner.optimizers.finish()
    for name, expected in weights_of(learner.network).items():
        np.testing.assert_array_equal(found[0][name], found[1][name])
        np.testing.assert_allclose(found[0][name], expected, atol=2e-4)
    for name, expected in _blocks_of_both(data).items():
        np.testing.assert_array_equal(found[0][f"block.{name}"], found[1][f"block.{name}"])
        np.testing.assert_allclose(found[0][f"block.{name}"], expected, atol=2e-4)
