import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.verify import verify_bundle
from ncf.artifacts import canonical_json, seal
from ncf.data.tables import write_id_table
from ncf.errors import ArtifactError, NcfError
from ncf.files import sha256_bytes
from ncf.identifiers import IdMap
from ncf.scoring.bundle import Bundle
from ncf.scoring.manifest import BUNDLE


def _reseal(folder: Path) -> None:
    document = json.loads((folder / "bundle.json").read_bytes())
    seal(folder, BUNDLE, document)


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "ncf"))


@pytest.fixture(scope="module")
def scratch(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path_factory.mktemp("flip") / "ncf"))


def test_a_sound_bundle_passes_and_the_report_counts(bundle: Bundle) -> None:
    report = verify_bundle(bundle.path)
    assert report["files"] == len(list(bundle.path.iterdir()))
    assert report["golden_requests"] == 11
    assert report["topk.onnx"] <= 1e-5
    assert report["topk.cuda.onnx"] <= 1e-5
    assert report["digest"] == bundle.digest


_SCHEMA = Path(__file__).parents[2] / "docs" / "bundle.schema.json"


def test_the_manifest_is_what_the_schema_document_says(bundle: Bundle) -> None:
    schema = json.loads(_SCHEMA.read_bytes())
    manifest = json.loads((bundle.path / "bundle.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)
    assert schema["properties"]["schema_version"]["const"] == BUNDLE.schema_version
    for key in manifest.keys() - {"fold_in"}:  # which bundles of before do not have
        lacking = {name: value for name, value in manifest.items() if name != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(lacking, schema)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_every_flip_of_a_byte_in_any_file_is_caught(data: st.DataObject, scratch: Path) -> None:
    name = data.draw(st.sampled_from(sorted(path.name for path in scratch.iterdir())))
    path = scratch / name
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    change = data.draw(st.integers(1, 255))
    content = bytearray(before)
    content[place] ^= change
    path.write_bytes(content)
    try:
        with pytest.raises(ArtifactError, match=name):
            verify_bundle(scratch)
    finally:
        path.write_bytes(before)


def test_swapped_and_extra_files_are_named(copy: Path) -> None:
    users, items = copy / "users.parquet", copy / "items.parquet"
    content = users.read_bytes()
    users.write_bytes(items.read_bytes())
    items.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"items\.parquet"):
        verify_bundle(copy)
    items.write_bytes(users.read_bytes())
    users.write_bytes(content)
    (copy / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"notes\.txt"):
        verify_bundle(copy)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b"])
def test_a_hand_edited_manifest_that_leaves_the_folder_is_refused(copy: Path, name: str) -> None:
    manifest = json.loads((copy / "bundle.json").read_bytes())
    manifest["files"][name] = "0" * 64
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"bundle\.json"):
        verify_bundle(copy)
    # And when whoever edited it knew how to seal.
    del manifest["digest"]
    sealed = {**manifest, "digest": sha256_bytes(canonical_json(manifest))}
    (copy / "bundle.json").write_bytes(canonical_json(sealed))
    with pytest.raises(ArtifactError, match="names a file outside its folder"):
        verify_bundle(copy)


def test_a_newer_schema_names_both_versions(copy: Path) -> None:
    newer = replace(BUNDLE, schema_version=BUNDLE.schema_version + 1)
    seal(copy, newer, json.loads((copy / "bundle.json").read_bytes()))
    found = rf"version {newer.schema_version} is newer .* \({BUNDLE.schema_version}\)"
    with pytest.raises(ArtifactError, match=found):
        verify_bundle(copy)


def test_a_graph_that_ranks_otherwise_is_refused_although_its_digest_is_right(copy: Path) -> None:
    model = onnx.load(copy / "topk.onnx")
    (bias,) = (each for each in model.graph.initializer if each.name == "output_bias")
    changed = onnx.numpy_helper.to_array(bias) + np.float32(1)
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, "output_bias"))
    onnx.save(model, copy / "topk.onnx")
    _reseal(copy)
    with pytest.raises(NcfError, match="does not answer"):
        verify_bundle(copy)


def test_graphs_that_disagree_are_refused(copy: Path) -> None:
    model = onnx.load(copy / "score.onnx")
    (bias,) = (each for each in model.graph.initializer if each.name == "output.bias")
    changed = onnx.numpy_helper.to_array(bias) + np.float32(1e-3)
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, "output.bias"))
    onnx.save(model, copy / "score.onnx")
    _reseal(copy)
    with pytest.raises(NcfError, match=r"topk\.onnx says"):
        verify_bundle(copy)


def test_a_file_that_is_no_graph_is_refused_in_one_line(copy: Path) -> None:
    for name in ("topk.onnx", "score.onnx"):
        kept = (copy / name).read_bytes()
        (copy / name).write_bytes(b"not a graph")
        _reseal(copy)
        with pytest.raises(ArtifactError, match=name):
            verify_bundle(copy)
        (copy / name).write_bytes(kept)


@pytest.mark.parametrize("table", ["users", "items"])
def test_id_maps_that_differ_are_refused(table: str, bundle: Bundle, copy: Path) -> None:
    ids = bundle.users if table == "users" else bundle.items
    turned = IdMap([*ids.raw[1:], ids.raw[0]], ids.titles)
    write_id_table(copy / f"{table}.parquet", turned, f"{table[:-1]}_id")
    _reseal(copy)
    with pytest.raises(ArtifactError, match=rf"{table}\.parquet: its ids"):
        verify_bundle(copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("seen.npz", b""),
        ("ids.npz", b"PK"),
        ("golden.json", b"{"),
        ("golden.json", b'{"answers": [], "k": 10}'),
        ("users.parquet", b"PAR1"),
        ("users.npy", b"\x93NUMPY"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_although_its_digest_is_right(
    name: str, content: bytes, copy: Path
) -> None:
    (copy / name).write_bytes(content)
    _reseal(copy)
    with pytest.raises(ArtifactError):
        verify_bundle(copy)


def test_a_bundle_without_one_of_its_files_is_refused_although_sealed(copy: Path) -> None:
    (copy / "MODEL_CARD.md").unlink()
    _reseal(copy)
    with pytest.raises(ArtifactError, match=r"MODEL_CARD\.md"):
        verify_bundle(copy)


def test_popular_items_that_are_no_permutation_are_refused(copy: Path) -> None:
    popular = np.load(copy / "popular.npy")
    popular[0] = popular[1]
    np.save(copy / "popular.npy", popular)
    _reseal(copy)
    with pytest.raises(ArtifactError, match="fit together"):
        verify_bundle(copy)


def test_an_archive_of_another_export_beside_it_is_named(bundle: Bundle, copy: Path) -> None:
    shutil.copy(bundle.path.with_suffix(".mar"), copy.with_suffix(".mar"))
    verify_bundle(copy)
    document = json.loads((copy / "bundle.json").read_bytes())
    document["provenance"]["created"] = "another day"
    seal(copy, BUNDLE, document)
    with pytest.raises(ArtifactError, match=r"ncf\.mar: does not hold"):
        verify_bundle(copy)


def test_the_archive_holds_the_verified_bundle(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.path.with_suffix(".mar")) as archive:
        archive.extractall(tmp_path)
    assert verify_bundle(tmp_path / "bundle")["digest"] == bundle.digest


_README = Path(__file__).parents[2] / "docs" / "bundle.md"


def test_the_few_lines_of_the_documentation_answer_as_we_do(bundle: Bundle) -> None:
    text = _README.read_text(encoding="utf-8")
    program = text.split("```python\n", 1)[1].split("```", 1)[0]
    assert len(program.strip().splitlines()) <= 12
    program = program.replace("model_store/ncf", str(bundle.path)).replace("196", "u3")
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    golden = json.loads((bundle.path / "golden.json").read_bytes())
    assert golden["k"] == 10
    from ncf.scoring.exact import ExactRanker  # noqa: PLC0415 - beside what it is compared with
    from ncf.scoring.queries import Wishes  # noqa: PLC0415
    from ncf.scoring.recommend import Recommender  # noqa: PLC0415

    found = Recommender(bundle, ExactRanker.open(bundle)).recommend("u3", Wishes(10))
    listed = [line.split("\t")[0] for line in ended.stdout.strip().splitlines()]
    assert listed == [item.item for item in found.items]
