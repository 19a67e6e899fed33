"""``ncf train --config``: each bad file is one line that names it and the key."""

import shutil
from pathlib import Path

import pytest

from ncf.training.checkpoint import Checkpoint
from tests.commands import refused

BAD = {
    "an unknown key": (b"factorz = 3", "unknown key 'factorz'; known: factors, gmf_factors"),
    "an unknown key below": (
        b"[schedule]\nrate = 1",
        "unknown key 'schedule.rate'; known: optimizer",
    ),
    "no TOML": (b"factors == 3", "not TOML (Invalid value (at line 1"),
    "a key twice": (b"factors = 1\nfactors = 2", "not TOML (Cannot overwrite a value"),
    "JSON": (b'{"factors": 3}', "not TOML"),
    "a text": (b'factors = "x"', "factors = 'x': Input should be a valid integer"),
    "a float": (b"factors = 3.5", "factors = 3.5: Input should be a valid integer"),
    "a boolean": (b"factors = true", "factors = True: Input should be a valid integer"),
    "a date": (b"seed = 2020-01-01", "seed = "),
    "too small": (b"factors = 0", "factors = 0: Input should be greater than or equal to 1"),
    "too many layers": (b"layers = 6", "layers = 6: Input should be less than or equal to 5"),
    "a negative seed": (b"seed = -1", "seed = -1: "),
    "a seed too large": (b"seed = 99999999999999999999", "seed = 99999999999999999999: "),
    "a rate of nan": (b"[schedule]\nlearning_rate = nan", "schedule.learning_rate = nan: "),
    "a rate of inf": (b"[schedule]\nlearning_rate = 1e400", "schedule.learning_rate = inf: "),
    "a rate of zero": (b"[schedule]\nlearning_rate = 0.0", "schedule.learning_rate = 0.0: "),
    "no batch": (b"[schedule]\nbatch_size = 0", "schedule.batch_size = 0: "),
    "no epoch": (b"[schedule]\nepochs = 0", "schedule.epochs = 0: "),
    "another optimizer": (b'[schedule]\noptimizer = "x"', "schedule.optimizer = 'x': "),
    "a value for a table": (b"schedule = 3", "schedule = 3: "),
    "a NUL byte": (b"factors = 3\0", "not TOML"),
    "UTF-16": ("factors = 3".encode("utf-16"), "not TOML"),
    "Latin-1": (b"# \xe9\nfactors = 3", "not TOML"),
    "a pickle": (b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.", "not TOML"),
    "endless nesting": (b"a = " + b"[" * 5000, "not TOML"),
    "an endless number": (b"factors = " + b"9" * 5000, "not TOML"),
}


@pytest.fixture
def home(data_folder: Path, checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """Data, and the last good checkpoint."""
    shutil.copytree(data_folder, tmp_path / "data")
    shutil.copytree(checkpoint.path, tmp_path / "c")
    return tmp_path


@pytest.mark.parametrize("what", BAD)
def test_a_bad_recipe_names_its_key_and_leaves_the_last_checkpoint(what: str, home: Path) -> None:
    content, message = BAD[what]
    (home / "r.toml").write_bytes(content)
    words = "train --data data --model gmf --out c --config"
    line = refused(*words.split(), "r.toml", cwd=home)
    assert line.startswith("ncf: r.toml: ")
    assert message in line


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "none: no such file"), ("folder", "folder: Is a directory; check the path")],
)
def test_a_recipe_that_is_no_file_is_named(name: str, message: str, home: Path) -> None:
    (home / "folder").mkdir()
    words = f"train --data data --model gmf --out c --config {name}"
    assert message in refused(*words.split(), cwd=home)
