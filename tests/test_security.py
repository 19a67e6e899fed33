"""No code out of data, no path out of its folder, no byte that was not pinned."""

import ast
import re
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

import ncf
from handlers.service import Service
from ncf.data import datasets, downloads, sources
from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.sessions import open_cpu
from tests.forbidden import PACKAGES, forbidden, modules

ROOT = Path(next(iter(ncf.__path__))).parent


def test_no_module_runs_code_out_of_data_or_leaves_a_folder() -> None:
    paths = modules(ROOT)
    assert {path.relative_to(ROOT).parts[0] for path in paths} == set(PACKAGES)
    assert len(paths) > 100
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in paths
        for line, what in forbidden(ast.parse(path.read_bytes()))
    ]
    # These import what is first asked for, by names that their own tables hold.
    tables = {
        "ncf/__init__.py": "import_module(_MODULES[name])",
        "batch/push/targets.py": "module, name = _OURS[scheme]",
    }
    lazily = {each for each in found if each.partition(":")[0] in tables}
    assert {each.rpartition(" ")[2] for each in lazily} == {"importlib.import_module"}
    for name, table in tables.items():
        assert table in (ROOT / name).read_text()
    assert [each for each in found if each not in lazily] == []


MUTANTS = [
    "import pickle",
    "import pickle as p",
    "from pickle import loads",
    "import dill, joblib",
    "from joblib import load",
    "import marshal",
    "import shelve",
    "eval('1')",
    "f = eval",
    "exec('x = 1')",
    "compile('1', '', 'eval')",
    "__import__('os')",
    "import importlib\nimportlib.import_module(name)",
    "from importlib import import_module as load\nload(name)",
    "import yaml\nyaml.load(text)",
    "import yaml\nyaml.load(text, Loader=yaml.Loader)",
    "import yaml\nyaml.unsafe_load(text)",
    "import subprocess\nsubprocess.run(text, shell=True)",
    "import subprocess\nsubprocess.run(text, shell=flag)",
    "import subprocess as s\ns.getoutput(text)",
    "import os\nos.system(text)",
    "from os import system\nsystem(text)",
    "import os as o\no.popen(text)",
    "import os\nos.execv(path, words)",
    "import tarfile\ntarfile.open(path).extractall(folder)",
    "import zipfile\nwith zipfile.ZipFile(path) as file:\n    file.extractall(folder)",
    "import shutil\nshutil.unpack_archive(path)",
    "import torch\ntorch.load(path)",
    "import torch\ntorch.load(path, weights_only=False)",
    "from torch import load as read\nread(path)",
    "import numpy as np\nnp.load(path, allow_pickle=True)",
    "import numpy as np\nnp.load(path, allow_pickle=flag)",
    "import pandas as pd\npd.read_pickle(path)",
    "frame.to_pickle(path)",
    "import tempfile\ntempfile.mktemp()",
]
HARMLESS = """
import json, subprocess, tomllib, yaml, zipfile
import numpy as np
model.eval()
pattern = re.compile("x")
yaml.safe_load(text)
yaml.load(text, Loader=yaml.SafeLoader)
np.load(path, allow_pickle=False)
np.load(path, mmap_mode="r")
subprocess.run(["ls"], shell=False)
with zipfile.ZipFile(path) as file:
    file.read("one.txt")
"""


@pytest.mark.parametrize("source", MUTANTS)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(forbidden(ast.parse(source)))


def test_the_search_lets_pass_what_is_harmless() -> None:
    assert list(forbidden(ast.parse(HARMLESS))) == []


def test_what_is_forbidden_is_found_wherever_it_is_put_into_a_real_module() -> None:
    source = (ROOT / "ncf" / "scoring" / "bundle.py").read_text()
    assert list(forbidden(ast.parse(source))) == []
    for mutant in ("import pickle\n", "    return eval(path.read_text())\n"):
        place = source.index("def open_bundle") if mutant.startswith("i") else len(source)
        assert list(forbidden(ast.parse(source[:place] + mutant + source[place:])))


def test_every_file_from_the_network_is_pinned_by_a_digest() -> None:
    urls = 0
    for every in datasets.DATASETS.values():
        for source in every:
            if isinstance(source, sources.TripleSource):
                digests: list[str] = [each.value for each in source.digests.values()]
            else:
                assert isinstance(source, sources.ZipSource | sources.WheelSource)
                digests = [source.digest.value]
            assert digests
            assert all(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", each) for each in digests)
            assert source.name.startswith(("https://", "pip download "))
            urls += len(digests)
    assert urls >= 6
    # No other module speaks to the network but serving, which asks its own server.
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in modules(ROOT)
        if re.search(
            r"^\s*(import|from) (requests|urllib|http|socket|fsspec)\b", path.read_text(), re.M
        )
    }
    assert asking == {
        Path(downloads.__file__).relative_to(ROOT).as_posix(),
        *("batch/stores.py", "batch/once.py"),  # object stores
        # whether a cluster listens at its address
        *("batch/engines/ray_cluster.py", "batch/engines/spark_context.py"),
        *("batch/push/keyvalue.py", "batch/push/postgres.py"),  # read a target's URI
        "ncf/connections.py",  # without proxies and .netrc
        "ncf/locks.py",  # the name of this machine
        *("ncf/serving/check.py", "ncf/serving/process.py", "ncf/serving/settings.py"),
        # our own server's port, and the talk with its workers
        *("ncf/serving/asgi.py", "ncf/serving/supervisor.py", "handlers/worker.py"),
        "handlers/forms.py",  # parses a form
        *("benchmarks/load.py", "benchmarks/nothing.py"),  # on loopback
    }


HOSTILE = ["../../evil", "/tmp/evil", "bundle/../../evil", "..\\evil"]  # noqa: S108 - a name


@pytest.mark.parametrize("name", HOSTILE)
def test_members_are_taken_from_an_archive_by_name_and_no_other(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t1\t1\t1\n")
        archive.writestr("ml-100k/u.item", "1|A\n")
        archive.writestr(name, "evil")
    source = datasets.DATASETS["ml-100k"][0]
    assert isinstance(source, sources.ZipSource)
    (tmp_path / "deep" / "out").mkdir(parents=True)
    source.members.unpack(tmp_path / "set.zip", tmp_path / "deep" / "out")
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"set.zip", "u.data", "titles.csv"}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_handler_refuses_an_unpacked_archive_whose_manifest_leaves_it(
    name: str, bundle: Bundle, tmp_path: Path
) -> None:
    # TorchServe unpacks archives itself, since 0.9 not beyond its folder (CVE-2023-48299); ours are
    # the digests after it.
    from shutil import copytree  # noqa: PLC0415 - beside its use

    from tests.bad_inputs.test_damaged_folders import edit_manifest  # noqa: PLC0415 - as above

    folder = Path(copytree(bundle.path, tmp_path / "bundle"))
    edit_manifest(folder, BUNDLE, files={**bundle.manifest.files, name: "0" * 64})
    with pytest.raises(ArtifactError, match="outside its folder"):
        Service(folder)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_graph_whose_weights_lie_outside_its_folder_is_not_opened(
    absolute: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    secret, graph = tmp_path / "secret", tmp_path / "bundle" / "m.onnx"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    graph.parent.mkdir()
    weights = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(secret) if absolute else "../secret")
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    node = onnx.helper.make_node("Identity", ["w"], ["y"])
    opset = [onnx.helper.make_opsetid("", 18)]
    body = onnx.helper.make_graph([node], "g", [], [output], [weights])
    model = onnx.helper.make_model(body, opset_imports=opset, ir_version=9)
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="not a graph that ONNX Runtime"):
        open_cpu(graph)
