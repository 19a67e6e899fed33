"""``WORLD_SIZE`` and its kind: what ``torchrun`` sets, and what clusters set for other ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed

from ncf.errors import UnreachableError, UsageError
from ncf.training.launcher import Launch, launched
from ncf.training.ranks import joined

WHOLE = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


def test_torchrun_says_who_this_process_is() -> None:
    assert launched(WHOLE) == Launch(3, 4, 1)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": ""},
        {"RANK": "1"},
        {"RANK": "nonsense", "LOCAL_RANK": "7", "MASTER_ADDR": "somewhere"},
    ],
    ids=str,
)
def test_without_other_processes_this_one_is_alone(variables: dict[str, str]) -> None:
    assert launched(variables) == Launch(0, 1, 0)


@pytest.mark.parametrize("missing", [name for name in WHOLE if name != "WORLD_SIZE"])
def test_half_a_launch_names_the_variable_that_is_missing(missing: str) -> None:
    half = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(UsageError, match=f"WORLD_SIZE is 4 and {missing} is not set; .*torchrun"):
        launched(half)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"])
@pytest.mark.parametrize("value", ["x", "-1", "2.5"])
def test_a_number_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is '{value}', and no number"):
        launched({**WHOLE, name: value})


def test_a_rank_beyond_the_size_is_named() -> None:
    with pytest.raises(UsageError, match="RANK is 4, and WORLD_SIZE 4"):
        launched({**WHOLE, "RANK": "4"})


def test_processes_that_do_not_come_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> None:
        raise distributed.DistNetworkError("timed out\nand a trace")

    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "init_process_group", nobody)
    with (
        pytest.raises(UnreachableError, match=r"MASTER_ADDR 127\.0\.0\.1:29500: .*timed out"),
        joined("cpu"),
    ):
        pass


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"WORLD_SIZE": "4"}, 2, "WORLD_SIZE is 4 and RANK is not set"),
        ({"WORLD_SIZE": "many"}, 2, "WORLD_SIZE is 'many'"),
        ({"RANK": "1"}, 0, ""),
    ],
)
def test_a_training_goes_on_alone_or_says_which_variable(
    variables: dict[str, str], code: int, said: str, data_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "few.toml").write_text("factors = 4\nlayers = 2\n[schedule]\nepochs = 1\n")
    words = ["train", "--data", str(data_folder), "--model", "gmf", "--out", "c"]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "ncf", *words, "--config", "few.toml"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    if code:
        assert ended.stderr.startswith(f"ncf: environment: {said}")
        assert len(ended.stderr.splitlines()) == 1
    else:  # a stray RANK silences nobody
        assert "digest" in ended.stdout
