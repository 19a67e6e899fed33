"""K: below 1 is an error everywhere, above what there is gives fewer rows."""

import json
import shutil
from pathlib import Path

import pytest

from batch.published import read_latest
from ncf.data.prepared import PreparedData
from ncf.scoring.bundle import Bundle
from ncf.training.checkpoint import Checkpoint
from tests.commands import done, refused

COMMANDS = [
    "batch --bundle store/ncf --device cpu",
    "recommend --bundle store/ncf --user u1",
    "recommend --bundle store/ncf --user nobody",
    "evaluate --checkpoint c --data data --protocol sampled",
    "evaluate --checkpoint c --data data --protocol full",
    "export --checkpoint c --data data --target triton",
]


@pytest.fixture
def home(data_folder: Path, checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path) -> Path:
    """All that the commands read, by links: nothing here is written to."""
    (tmp_path / "store").mkdir()
    for name, target in {
        "data": data_folder,
        "c": checkpoint.path,
        "store/ncf": bundle.path,
    }.items():
        shutil.copytree(target, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("k", ["0", "-1", "-99999999999999999999"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_list_shorter_than_one_is_refused(command: str, k: str, home: Path) -> None:
    line = refused(*command.split(), "-k", k, cwd=home)
    assert f"k {k} is" in line.replace("=", "").replace("  ", " ")


@pytest.mark.parametrize("k", ["1.5", "ten", "", "1e3", "NaN"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_length_that_is_no_whole_number_is_refused(command: str, k: str, home: Path) -> None:
    assert "Invalid value for '-k': Input should be a valid integer" in refused(
        *command.split(), "-k", k, cwd=home
    )


def test_a_table_longer_than_ranks_can_count_is_refused(home: Path) -> None:
    line = refused(*COMMANDS[0].split(), "-k", "32768", cwd=home)
    assert "k = 32768 is above 32767" in line


def test_more_than_the_catalogue_gives_what_is_unseen(home: Path, data: PreparedData) -> None:
    done(*COMMANDS[0].split(), "-k", "32767", cwd=home)
    known = data.interactions().csr()
    unseen = {raw: 30 - known[[index]].nnz for index, raw in enumerate(data.users.raw)}
    table = read_latest(home / "topk")
    assert table.groupby("user_id", observed=True).size().to_dict() == unseen


@pytest.mark.parametrize("k", ["31", "1000000000", "99999999999999999999"])
def test_more_than_there_is_is_what_there_is(k: str, home: Path, data: PreparedData) -> None:
    unseen = 30 - data.interactions().csr()[[data.users.raw[:].index("u1")]].nnz
    for command, count in ((COMMANDS[1], unseen), (COMMANDS[2], 30)):
        found = json.loads(done(*command.split(), "-k", k, "--json", cwd=home))
        assert len({item["item"] for item in found["items"]}) == len(found["items"]) == count
    for command in COMMANDS[3:5]:
        (row,) = json.loads(done(*command.split(), "-k", k, "--json", cwd=home))["metrics"]
        assert row["hr"] == 1
