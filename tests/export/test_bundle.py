import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy import sparse

from export.contents import topk_graphs, write_user_rows
from export.publish import publish
from export.source import Source
from export.verify import verify_bundle
from ncf.artifacts import seal
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, NcfError, ParityError, StorageError, UsageError
from ncf.graphs.score import score_graph
from ncf.graphs.topk import user_rows
from ncf.models.kinds import Kind
from ncf.models.scorer import scorer
from ncf.policies import ColdUser
from ncf.proof.bundle_parity import require_pair_parity
from ncf.proof.reference import graph_scorer
from ncf.proof.tolerance import TOLERANCE
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.sessions import open_cpu
from ncf.training.checkpoint import Checkpoint, open_checkpoint, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.trained import Trained
from tests.conftest import random_checkpoint
from tests.oracles import numpy_logit
from tests.worlds import random_weights

FILES = {
    "MODEL_CARD.md",
    "bundle.json",
    "foldin.onnx",
    "golden.json",
    "ids.npz",
    "item_map.npy",
    "items.parquet",
    "popular.npy",
    "score.onnx",
    "seen.npz",
    "topk.cuda.onnx",
    "topk.onnx",
    "unlearned.npz",
    "users.npy",
    "users.parquet",
}

SIZES = (40, 30)


@pytest.mark.parametrize("layers", [1, 3, 5])
@pytest.mark.parametrize("kind", Kind.networks())
def test_the_graph_equals_pytorch_and_plain_numpy_for_every_variant(
    kind: Kind, layers: int, data: PreparedData, tmp_path: Path
) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, kind, layers=layers)
    graph = score_graph(checkpoint.weights)
    parity = require_pair_parity(graph, SIZES, scorer(checkpoint.model()))
    assert parity.compared >= 20_000
    assert parity.max_difference <= TOLERANCE
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    users, items = np.array([0, 39, 7, 39]), np.array([29, 0, 11, 29])
    (found,) = session.run(["logit"], {"user": users, "item": items})
    expected = [
        numpy_logit(checkpoint.weights, user, item)
        for user, item in zip(users.tolist(), items.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_graph_takes_no_pair_at_all(bundle: Bundle) -> None:
    session = ort.InferenceSession(str(bundle.score_graph), providers=["CPUExecutionProvider"])
    nothing = np.empty(0, np.int64)
    (found,) = session.run(None, {"user": nothing, "item": nothing})
    assert (found.shape, found.dtype) == ((0,), np.float32)


def _tampered(graph: bytes, name: str, change: float) -> bytes:
    model = onnx.load_from_string(graph)
    (tensor,) = (each for each in model.graph.initializer if each.name == name)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[-1] += change
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("output.bias", 1e-4),
        ("output.bias", np.nan),
        ("gmf.item.weight", 0.5),  # of the last item alone
        ("mlp.user.weight", 5.0),  # of the last user alone
    ],
)
def test_a_graph_that_differs_anywhere_is_refused(
    checkpoint: Checkpoint, name: str, change: float
) -> None:
    with pytest.raises(ParityError, match="where the model says"):
        require_pair_parity(
            _tampered(score_graph(checkpoint.weights), name, change),
            SIZES,
            scorer(checkpoint.model()),
        )


@pytest.mark.parametrize("kind", Kind.networks())
@pytest.mark.parametrize(("read", "instead_of"), [("user", "item"), ("item", "user")])
def test_a_graph_that_reads_one_input_twice_is_refused(
    read: str, instead_of: str, kind: Kind
) -> None:
    # As many users as items: every index that is read wrongly is in range, and has a logit.
    weights = random_weights(kind, 3, 30, 30, seed=0)
    sound = score_graph(weights)
    model = onnx.load_from_string(sound)
    for node in model.graph.node:
        node.input[:] = [read if name == instead_of else name for name in node.input]
    with pytest.raises(ParityError, match="where the model says"):
        require_pair_parity(model.SerializeToString(), (30, 30), graph_scorer(open_cpu(sound)))


def test_the_bundle_holds_what_the_contract_lists(bundle: Bundle, data: PreparedData) -> None:
    assert {path.name for path in bundle.path.iterdir()} == FILES
    assert bundle.users.raw == data.users.raw
    assert bundle.items.titles == data.items.titles
    known = data.interactions()
    pairs = set(zip(known.users.tolist(), known.items.tolist(), strict=True))
    rows, columns = sparse.load_npz(bundle.path / "seen.npz").nonzero()
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == pairs
    counts = np.bincount(known.items, minlength=len(data.items))
    assert bundle.popular.tolist() == sorted(range(len(data.items)), key=lambda i: (-counts[i], i))


_EXPORT = """
import sys
from pathlib import Path
from export.publish import publish
from export.source import Source
from ncf.data.prepared import open_data
from ncf.training.checkpoint import open_checkpoint
source = Source(open_checkpoint(Path(sys.argv[1])), open_data(Path(sys.argv[2])))
publish(source, Path(sys.argv[3]), "ncf")
"""


def test_another_checkout_and_process_export_the_same_bytes(
    bundle: Bundle, checkpoint: Checkpoint, data_folder: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    for package in ("ncf", "export", "handlers"):
        shutil.copytree(root / package, tmp_path / "elsewhere" / package)
    arguments = [str(checkpoint.path), str(data_folder), str(tmp_path / "again")]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "1",
        "PYTHONPATH": "elsewhere",
        "TZ": "Asia/Tokyo",
    }
    command = [sys.executable, "-c", _EXPORT, *arguments]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    for name in FILES:
        assert (tmp_path / "again/ncf" / name).read_bytes() == (bundle.path / name).read_bytes()
    again, first = tmp_path / "again" / "ncf.mar", bundle.path.with_suffix(".mar")
    assert again.read_bytes() == first.read_bytes()


def test_the_time_is_that_of_source_date_epoch_and_no_other(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    publish(Source(checkpoint, data), tmp_path, "ncf")
    manifest = open_bundle(tmp_path / "ncf").manifest
    assert manifest.provenance.created == "2023-11-14T22:13:20+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        publish(Source(checkpoint, data), tmp_path, "ncf")


def test_user_rows_are_written_in_order_in_many_pieces(
    checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [np.array(piece) for piece in user_rows(checkpoint.weights, users_at_once=9)]
    monkeypatch.setattr("export.contents.user_rows", lambda _: iter(pieces))
    write_user_rows(checkpoint.weights, tmp_path / "users.npy")
    np.testing.assert_allclose(np.load(tmp_path / "users.npy"), bundle.user_rows, atol=1e-6)


@pytest.mark.parametrize("version", ["", "1.", ".1", "1..0", "v1", "\u0661", "1.0.0.0.0"])
def test_a_version_torchserve_would_not_take_is_refused(
    version: str, checkpoint: Checkpoint, data: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="version"):
        publish(Source(checkpoint, data), tmp_path / "store", "ncf", version)
    assert not (tmp_path / "store").exists()


def test_large_logits_pass_the_gate_although_float32_rounds_them_by_more_than_1e_5(
    data: PreparedData, tmp_path: Path
) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, Kind.MLP)
    loud = {
        name: array * (20 if ".user." in name or ".item." in name else 1)
        for name, array in checkpoint.weights.items()
    }
    write_checkpoint(
        tmp_path / "loud", Trained(checkpoint.architecture, loud, [], Outcome("mlp")), data
    )
    publish(Source(open_checkpoint(tmp_path / "loud"), data), tmp_path / "store", "ncf")
    reports = open_bundle(tmp_path / "store" / "ncf").manifest.parity.values()
    assert max(report.max_difference for report in reports) > TOLERANCE
    assert all(report.max_difference <= report.tolerance for report in reports)


def test_no_exported_byte_tells_where_it_was_made(bundle: Bundle, data_folder: Path) -> None:
    paths = [*bundle.path.iterdir(), bundle.path.with_suffix(".mar")]
    content = b"".join(path.read_bytes() for path in paths)
    temporary = "/tmp"  # noqa: S108 - looked for, not written
    secrets = [Path.cwd(), data_folder.parent, Path.home(), temporary]
    host = os.uname().nodename
    if len(host) > 3:  # the two letters of "vm" stand in some weight by chance
        secrets.append(host)
    for secret in secrets:
        assert str(secret).encode() not in content


def _fail_pair_parity(checkpoint: Checkpoint, patch: pytest.MonkeyPatch) -> None:
    tampered = _tampered(score_graph(checkpoint.weights), "output.bias", 1.0)
    patch.setattr("ncf.graphs.score.score_graph", lambda _: tampered)


def _fail_topk_parity(checkpoint: Checkpoint, patch: pytest.MonkeyPatch) -> None:
    graphs = topk_graphs(checkpoint.weights)
    graphs["topk.onnx"] = _tampered(graphs["topk.onnx"], "output_bias", 5e-5)
    patch.setattr("export.contents.topk_graphs", lambda _: graphs)


def _fail_cuda_parity(checkpoint: Checkpoint, patch: pytest.MonkeyPatch) -> None:
    graphs = topk_graphs(checkpoint.weights)
    # Another item's worth of ranking: swap the catalogue's items.
    model = onnx.load_from_string(graphs["topk.cuda.onnx"])
    (tensor,) = (each for each in model.graph.initializer if each.name == "mlp_items")
    flipped = onnx.numpy_helper.to_array(tensor)[::-1].copy()
    tensor.CopyFrom(onnx.numpy_helper.from_array(flipped, "mlp_items"))
    graphs["topk.cuda.onnx"] = model.SerializeToString()
    patch.setattr("export.contents.topk_graphs", lambda _: graphs)


def _fail_archive(checkpoint: Checkpoint, patch: pytest.MonkeyPatch) -> None:
    assert checkpoint.path.exists()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    patch.setattr("export.swap.write_archive", full)


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (_fail_pair_parity, ParityError),
        (_fail_topk_parity, ParityError),
        (_fail_cuda_parity, ParityError),
        (_fail_archive, StorageError),
    ],
)
def test_a_failed_export_leaves_the_old_bundle_and_archive(
    fail: Callable[[Checkpoint, pytest.MonkeyPatch], None],
    error: type[NcfError],
    checkpoint: Checkpoint,
    data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(Source(checkpoint, data), tmp_path, "ncf")
    before = open_bundle(tmp_path / "ncf").digest, (tmp_path / "ncf.mar").read_bytes()
    fail(checkpoint, monkeypatch)
    with pytest.raises(error):
        publish(Source(checkpoint, data, ColdUser.ERROR), tmp_path, "ncf")
    assert (open_bundle(tmp_path / "ncf").digest, (tmp_path / "ncf.mar").read_bytes()) == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".ncf.lock", "ncf", "ncf.mar"]


def test_an_export_killed_at_any_moment_leaves_whole_files_and_the_next_one_succeeds(
    checkpoint: Checkpoint, data_folder: Path, data: PreparedData, tmp_path: Path
) -> None:
    publish(Source(checkpoint, data), tmp_path, "ncf")
    command = [sys.executable, "-c", _EXPORT, str(checkpoint.path), str(data_folder), str(tmp_path)]
    for moment in (0.0, 0.05, 0.15):
        with subprocess.Popen(command) as process:
            deadline = time.monotonic() + 60
            while not any(tmp_path.glob(".ncf.*.tmp")) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moment)
            process.kill()
        verify_bundle(tmp_path / "ncf")
        assert zipfile.ZipFile(tmp_path / "ncf.mar").testzip() is None
    publish(Source(checkpoint, data), tmp_path, "ncf")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".ncf.lock", "ncf", "ncf.mar"]


def test_data_the_model_was_not_trained_on_is_refused(
    checkpoint: Checkpoint, data: PreparedData
) -> None:
    other = replace(data, manifest=replace(data.manifest, digest="0" * 64))
    with pytest.raises(ArtifactError, match="000000000000"):
        Source(checkpoint, other)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "remove"])
def test_a_damaged_bundle_is_refused_naming_the_file(
    name: str, harm: str, bundle: Bundle, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "ncf"))
    content = bytearray((folder / name).read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 4
    kept = {"flip": len(content), "truncate": len(content) - 1, "empty": 0, "remove": 0}[harm]
    (folder / name).write_bytes(content[:kept])
    if harm == "remove":
        (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        open_bundle(folder)


def _reseal(folder: Path) -> None:
    document = json.loads((folder / "bundle.json").read_bytes())
    seal(folder, BUNDLE, document)


def test_files_that_do_not_fit_together_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("users.npy", "popular.npy"):
        folder = Path(shutil.copytree(bundle.path, tmp_path / name))
        np.save(folder / name, np.load(folder / name)[:-1])
        _reseal(folder)
        with pytest.raises(ArtifactError, match="do not fit together"):
            open_bundle(folder)


def test_weights_that_do_not_fit_into_one_file_lie_beside_it(
    checkpoint: Checkpoint, data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncf.graphs.score.LARGEST_MODEL", 1000)
    for store in ("one", "two"):
        publish(Source(checkpoint, data), tmp_path / store, "ncf")
    folder = tmp_path / "one" / "ncf"
    assert (folder / "score.onnx").stat().st_size < 4000
    assert (folder / "score.onnx.data").stat().st_size > 10_000
    verify_bundle(folder)
    archives = [(tmp_path / store / "ncf.mar").read_bytes() for store in ("one", "two")]
    assert archives[0] == archives[1]
    content = bytearray((folder / "score.onnx.data").read_bytes())
    content[100] ^= 1
    (folder / "score.onnx.data").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"score\.onnx\.data"):
        verify_bundle(folder)


def test_the_checkpoint_stays_readable_after_export(checkpoint: Checkpoint) -> None:
    assert open_checkpoint(checkpoint.path).digest == checkpoint.digest


def test_branches_of_different_widths_export_equal_to_the_model(
    data: PreparedData, tmp_path: Path
) -> None:
    checkpoint = random_checkpoint(tmp_path / "c", data, Kind.NEUMF, factors=4, gmf_factors=7)
    publish(Source(checkpoint, data), tmp_path / "store", "ncf")  # parity is its gate
    bundle = open_bundle(tmp_path / "store" / "ncf")
    assert (bundle.manifest.model.gmf_factors, bundle.manifest.model.factors) == (7, 4)
    assert "7 GMF and 4 MLP factors" in (bundle.path / "MODEL_CARD.md").read_text()
