"""The archive in an environment where this project is not installed."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import requests

from export.handler_code import handler_code
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.queries import Wishes
from ncf.scoring.recommend import Recommender
from tests.handlers.environment import make_environment, torchserve, wait_until_it_answers

pytestmark = pytest.mark.xdist_group("torchserve")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def archive(bundle: Bundle) -> Path:
    return bundle.path.with_suffix(".mar")


def test_the_environment_lacks_this_project_and_what_it_could_lean_on(python: Path) -> None:
    code = "import importlib.util as u, sys; print([m for m in sys.argv[1:] if u.find_spec(m)])"
    names = ["ncf", "handlers", "export", "pyarrow", "scipy", "pandas", "pydantic", "onnx"]
    ended = subprocess.run(
        [str(python), "-c", code, *names], capture_output=True, text=True, check=True, cwd="/"
    )
    assert ended.stdout.strip() == "[]"


def test_torchserve_serves_the_archive_with_the_answers_of_the_bundle(
    python: Path, archive: Path, bundle: Bundle, tmp_path: Path
) -> None:
    recommender = Recommender(bundle, ExactRanker.open(bundle))
    with torchserve(python, archive, tmp_path / "server") as server:
        wait_until_it_answers(server, {"user": "u3", "k": 5})
        for user in ("u3", "u0", "stranger"):
            answer = server.predict({"user": user, "k": 5})
            found = recommender.recommend(user, Wishes(5))
            items = answer.json()["items"]
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["policy"] == found.policy.value
            assert answer.json()["model"] == bundle.digest[:12]
            assert [item["item"] for item in items] == [item.item for item in found.items]
            # Bit for bit: a float32 as JSON reads back as the same number.
            assert [item.get("score") for item in items] == [item.score for item in found.items]
            assert [item.get("title") for item in items] == [item.title for item in found.items]
        (described,) = requests.get(f"{server.management}/models/ncf", timeout=30).json()
        # TorchServe ignores a misspelt setting silently.
        settings = ("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout")
        assert [described[name] for name in settings] == [1, 4, 16, 5, 20]
        assert described["maxRetryTimeoutInSec"] == 10
        bad = server.predict({"user": 3})
        assert bad.status_code == 400
        assert bad.json()["error"]["code"] == "bad_request"
        charset = server.predict({"user": "u3", "k": 2}, "application/json; charset=utf-8")
        assert len(charset.json()["items"]) == 2


def test_an_archive_with_a_flipped_byte_does_not_come_up_and_says_why(
    python: Path, archive: Path, tmp_path: Path
) -> None:
    spoilt = tmp_path / "store" / "ncf.mar"
    spoilt.parent.mkdir()
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(spoilt, "w") as after:
        for name in before.namelist():
            content = bytearray(before.read(name))
            if name == "bundle/topk.onnx":
                content[len(content) // 2] ^= 1
            after.writestr(name, bytes(content))
    loaded = _load(python, spoilt, tmp_path / "extracted")
    assert loaded.returncode != 0
    assert "topk.onnx: bytes differ from the recorded SHA-256" in loaded.stderr


def test_a_missing_package_is_named_with_the_remedy(
    archive: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    poor = make_environment(tmp_path_factory.mktemp("poor") / "venv", ("numpy", "pyyaml"))
    loaded = _load(poor, archive, tmp_path / "extracted")
    assert "onnxruntime" in loaded.stderr
    assert "pip install" in loaded.stderr


def test_the_archive_holds_the_code_that_the_handler_loads_and_no_other(
    python: Path, archive: Path, tmp_path: Path
) -> None:
    loaded = _load(python, archive, tmp_path / "extracted", report="modules")
    modules = {line for line in loaded.stdout.splitlines() if line.endswith(".py")}
    assert modules == set(handler_code())
    with zipfile.ZipFile(archive) as file:
        carried = {name for name in file.namelist() if name.endswith(".py")}
    assert carried == modules | {"ncf_handler.py"}


_LOAD = """
import sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import ncf_handler
class Metrics:
    def add_metric_to_cache(self, *specification):
        pass
class Context:
    model_name = "ncf"
    system_properties = {"model_dir": str(folder)}
    model_yaml_config = {}
    metrics = Metrics()
assert ncf_handler.handle(None, Context()) is None
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    if file.startswith(str(folder)) and not file.endswith("ncf_handler.py"):
        print(Path(file).relative_to(folder))
"""


def _load(
    python: Path, archive: Path, folder: Path, report: str = ""
) -> subprocess.CompletedProcess[str]:
    """Load the handler as TorchServe's worker does, without TorchServe."""
    shutil.unpack_archive(archive, folder, "zip")
    ended = subprocess.run(
        [str(python), "-c", _LOAD, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert not report or ended.returncode == 0, ended.stderr
    return ended
