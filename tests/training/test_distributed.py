import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ncf.training.checkpoint import load_history, open_checkpoint

_RECIPE = """
factors = 4
layers = 2
[schedule]
learning_rate = 0.02
batch_size = 60
epochs = 15
patience = 15
l2 = 1e-4
[parents.gmf]
learning_rate = 0.02
epochs = 3
[parents.mlp]
learning_rate = 0.02
epochs = 3
"""


def _run(processes: int, arguments: list[str], out: Path) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    command = [sys.executable, *launcher, *address, "-m", "ncf", "train", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [*command, "--out", str(out), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(_RECIPE)
    return path


def test_two_processes_train_as_well_as_one(
    data_folder: Path, recipe: Path, tmp_path: Path
) -> None:
    found = {}
    for processes in (1, 2):
        arguments = ["--data", str(data_folder), "--model", "neumf-pre", "--config", str(recipe)]
        ended = _run(processes, arguments, tmp_path / str(processes))
        assert ended.returncode == 0, ended.stderr
        # Only one of them speaks, and writes.
        found[processes] = json.loads(ended.stdout)
        checkpoint = open_checkpoint(tmp_path / str(processes))
        assert checkpoint.digest == found[processes]["digest"]
        assert set(checkpoint.manifest["parents"]) == {"gmf", "mlp"}
    assert abs(found[1]["ndcg"] - found[2]["ndcg"]) < 0.1
    losses = [
        [row["loss"] for row in load_history(tmp_path / str(processes))[1:]] for processes in (1, 2)
    ]
    # The same pairs, other negatives, the same number of steps.
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=0.15)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["1", "2"]


def test_two_processes_end_with_the_same_weights_each_time(
    data_folder: Path, recipe: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(data_folder), "--model", "gmf", "--config", str(recipe)]
    for out in ("a", "b"):
        ended = _run(2, arguments, tmp_path / out)
        assert ended.returncode == 0, ended.stderr
    first, second = (open_checkpoint(tmp_path / out).weights for out in ("a", "b"))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_bad_input_ends_all_processes(data_folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.toml"
    recipe.write_text("factors = 0")
    arguments = ["--data", str(data_folder), "--model", "gmf", "--config", str(recipe)]
    ended = _run(2, arguments, tmp_path / "c")
    assert ended.returncode != 0
    assert "factors = 0" in ended.stderr
    assert not (tmp_path / "c").exists()
