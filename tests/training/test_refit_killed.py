"""A training killed in its refit: `ncf train --resume` ends as if nothing had happened."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncf.training.checkpoint import open_checkpoint
from tests.commands import done

_RECIPE = """
factors = 4
[schedule]
learning_rate = 0.001
batch_size = 16
epochs = 12
patience = 12
"""


@pytest.mark.slow
def test_a_refit_killed_at_any_moment_goes_on_to_the_same_weights(
    data_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(_RECIPE)

    def words(out: str) -> list[str]:
        arguments = ["--data", str(data_folder), "--model", "gmf", "--config", "recipe.toml"]
        return ["train", *arguments, "--recipe", "paper", "--out", out]

    def killed(*more: str) -> bool:
        """Kill a training a moment after an epoch of its refit."""
        state = tmp_path / ".broken.work" / "refit" / "gmf" / "state.json"
        seen = state.stat().st_mtime_ns if state.exists() else 0
        command = [sys.executable, "-m", "ncf", *words("broken"), *more]
        with subprocess.Popen(command, cwd=tmp_path) as process:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and process.poll() is None:
                if state.exists() and state.stat().st_mtime_ns > seen:
                    break
                time.sleep(0.001)
            process.kill()
        return process.returncode < 0 and state.exists()

    done(*words("whole"), cwd=tmp_path)
    assert killed()
    assert not (tmp_path / "broken").exists()
    assert killed("--resume")
    done(*words("broken"), "--resume", cwd=tmp_path)
    for path in (tmp_path / "whole").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "broken" / path.name).read_bytes()
    found = open_checkpoint(tmp_path / "broken").manifest
    assert found.finished
    assert found.product is not None
    assert not (tmp_path / ".broken.work").exists()
