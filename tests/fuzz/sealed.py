"""A tiny bundle, one file of which is replaced and sealed again, as who may write it could do.

The digests refuse whatever was damaged by accident. What they cannot refuse is a bundle that
somebody sealed on purpose: to that the reader must say no in one line, or read it.
"""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.artifacts import canonical_json, seal
from ncf.files import sha256_bytes
from ncf.identifiers import IdMap, write_id_maps
from ncf.policies import ColdUser
from ncf.records import json_values
from ncf.scoring import bundle as files
from ncf.scoring.golden import replay
from ncf.scoring.manifest import BUNDLE, BundleManifest, BundleMetrics, Model, Provenance
from ncf.scoring.queries import Wishes
from ncf.scoring.ranker import TopK
from ncf.scoring.recommend import Recommender
from ncf.scoring.screen_manifest import NoScreen
from ncf.validation import Validation

if TYPE_CHECKING:
    from ncf.scoring.exact import ExactRanker

USERS, ITEMS, WIDTH = 3, 5, 2
_MANIFEST = BundleManifest(
    model=Model("gmf", USERS, ITEMS, WIDTH, WIDTH, 1, WIDTH, USERS),
    cold_user=ColdUser.POPULAR,
    parity={},
    screen=NoScreen("none wanted"),
    metrics=BundleMetrics(Validation(), None),
    provenance=Provenance("0" * 64, {}, "gmf", "0" * 64, {}, {}, {}, None),
)
_ANSWER = {"user": "nobody", "policy": "popular", "items": ["i0", "i1"], "scores": [None, None]}
# The graphs are not among them: ONNX Runtime reads those, and its readers are its own.
REPLACED = (
    files.IDS_FILE,
    files.SEEN_FILE,
    files.USER_ROWS_FILE,
    files.POPULAR_FILE,
    files.GOLDEN_FILE,
    BUNDLE.manifest,
)


def write_tiny_bundle(folder: Path) -> None:
    """Write a bundle without graphs and tables: the reader opens these when they are asked for."""
    users = IdMap([f"u{index}" for index in range(USERS)])
    items = IdMap([f"i{index}" for index in range(ITEMS)], ["A", "B", "", "D", "É"])
    write_id_maps(folder / files.IDS_FILE, {"users": users, "items": items})
    seen = sparse.csr_array(np.eye(USERS, ITEMS, dtype=np.int8))
    sparse.save_npz(folder / files.SEEN_FILE, seen, compressed=False)
    np.save(folder / files.USER_ROWS_FILE, np.zeros((USERS, WIDTH), np.float32))
    np.save(folder / files.POPULAR_FILE, np.arange(ITEMS, dtype=np.int32))
    golden = {"k": 2, "answers": [_ANSWER]}
    (folder / files.GOLDEN_FILE).write_bytes(canonical_json(golden))
    for name in files.REQUIRED - set(REPLACED):
        (folder / name).write_bytes(b"unread")
    seal(folder, BUNDLE, json_values(_MANIFEST))


def read_bundle(which: int, content: bytes) -> None:
    """Replace a file of the bundle, and use it as the server does, but for scoring."""
    name = REPLACED[which % len(REPLACED)]
    folder = _bundle()
    path, manifest = folder / name, folder / BUNDLE.manifest
    before, sealed = path.read_bytes(), manifest.read_bytes()
    try:
        if name == BUNDLE.manifest:
            path.write_bytes(_resealed(content))
        else:
            path.write_bytes(content)
            seal(folder, BUNDLE, json_values(_MANIFEST))
        _use(folder)
    finally:
        # New files, not new content: arrays of the last round may still be mapped.
        path.unlink(missing_ok=True)
        path.write_bytes(before)
        manifest.write_bytes(sealed)


def _use(folder: Path) -> None:
    opened = files.open_bundle(folder)
    recommender = Recommender(opened, cast("ExactRanker", _NoGraph()))
    replay(opened, recommender)
    for user in ("u0", "u2", "nobody"):
        recommender.recommend(user, Wishes(3, exclude=("i1",)))
        recommender.history(user)


class _NoGraph:
    """Stands in for the graph: lists nothing."""

    def users_at_once(self, k: int) -> int:
        return k

    def rank_rows(self, rows: npt.NDArray[np.float32], excluded: object, k: int) -> TopK:
        del excluded
        width = min(k, ITEMS)
        nothing = np.full((len(rows), width), -np.inf, np.float32)
        return TopK(np.zeros((len(rows), width), np.int64), nothing)


def _resealed(content: bytes) -> bytes:
    """Put the right digest into a manifest, where it is one."""
    try:
        document = json.loads(content)
        document.pop("digest", None)
        return canonical_json({**document, "digest": sha256_bytes(canonical_json(document))})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return content


@cache
def _bundle() -> Path:
    folder = scratch()
    write_tiny_bundle(folder)
    return folder


def scratch() -> Path:
    """Make a folder that goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="ncf-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
