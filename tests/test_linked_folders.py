"""Folders made of links, as caches of Hugging Face and DVC keep them, through the whole way."""

import json
from pathlib import Path

import ncf as toolkit
from ncf.files import sha256
from ncf.scoring.bundle import Bundle
from ncf.training.checkpoint import Checkpoint
from tests.commands import done


def linked(folder: Path, home: Path) -> Path:
    """Copy a folder's files to where their digests name them, and make a folder of links there."""
    links, blobs = home / "snapshots" / folder.name, home / "blobs"
    for path in folder.rglob("*"):
        if path.is_file():
            blob = blobs / sha256(path)
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(path.read_bytes())
            link = links / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    return links


def test_data_and_a_checkpoint_of_links_are_exported(
    data_folder: Path, checkpoint: Checkpoint, bundle: Bundle, tmp_path: Path
) -> None:
    data, trained = linked(data_folder, tmp_path), linked(checkpoint.path, tmp_path)
    done("export", "--checkpoint", trained, "--data", data, "--out", "store", cwd=tmp_path)
    exported = toolkit.open_bundle(tmp_path / "store" / "ncf")
    assert exported.recommend(["u0", "u1"]).equals(
        toolkit.open_bundle(bundle.path).recommend(["u0", "u1"])
    )


def test_a_bundle_and_a_run_of_links_are_used_and_verified(bundle: Bundle, tmp_path: Path) -> None:
    links = linked(bundle.path, tmp_path)
    done("verify", "--bundle", links, cwd=tmp_path)
    printed = done("recommend", "--bundle", links, "--user", "u0", "--json", cwd=tmp_path)
    assert json.loads(printed) == json.loads(
        done("recommend", "--bundle", bundle.path, "--user", "u0", "--json", cwd=tmp_path)
    )
    done("batch", "--bundle", links, "--out", "topk", "-k", "3", cwd=tmp_path)
    table = toolkit.read_latest(tmp_path / "topk")
    (run,) = (path for path in (tmp_path / "topk").iterdir() if (path / "_SUCCESS").exists())
    kept = linked(run, tmp_path)
    (kept.parent / "LATEST").symlink_to(tmp_path / "topk" / "LATEST")
    assert toolkit.read_latest(kept.parent).equals(table)
    done("verify", "--run", kept, "--bundle", links, cwd=tmp_path)
