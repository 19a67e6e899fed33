"""Write a Triton model repository: the top-K graph with user rows and seen items inside.

Triton batches requests along the first axis of every input. So the graph takes one user index for
each row, and holds the user rows and seen items, which a bundle stores outside the graph.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto
from scipy import sparse

from export.source import Source
from export.swap import check_name
from ncf.artifacts import seal, sealed_folder
from ncf.columns import Columns
from ncf.data.tables import write_id_table
from ncf.errors import ArtifactError, ParityError, UsageError
from ncf.graphs.builder import LARGEST_MODEL, GraphBuilder
from ncf.graphs.topk import Ends, rank_users, user_rows
from ncf.graphs.tower import Form
from ncf.kinds import Kind, Manifest
from ncf.locks import writer_lock
from ncf.models.scorer import scorer
from ncf.proof.parity import compare_lists
from ncf.proof.reference import reference_for
from ncf.records import json_values
from ncf.scoring.manifest import Parity
from ncf.scoring.ranker import TopK
from ncf.scoring.sessions import open_cpu


@dataclass(frozen=True, kw_only=True)
class TritonManifest(Manifest):
    """What ``triton.json`` says.

    Parameters
    ----------
    checkpoint : str
        Digest of the checkpoint.
    """

    checkpoint: str


TRITON = Kind(
    "Triton model",
    "triton.json",
    1,
    "make it with 'ncf export --target triton'",
    TritonManifest,
)

_SAMPLE = 32  # users

_CONFIG = """\
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 64
input [
  {{
    name: "user"
    data_type: TYPE_INT64
    dims: [ 1 ]
  }}
]
output [
  {{
    name: "item"
    data_type: TYPE_INT64
    dims: [ {k} ]
  }},
  {{
    name: "logit"
    data_type: TYPE_FP32
    dims: [ {k} ]
  }}
]
instance_group [
  {{
    kind: KIND_CPU
  }}
]
dynamic_batching {{
  max_queue_delay_microseconds: 5000
}}
parameters {{
  key: "checkpoint"
  value: {{
    string_value: "{digest}"
  }}
}}
"""


def write_repository(source: Source, out: Path, name: str, k: int) -> dict[str, Any]:
    """Write ``out/NAME`` in Triton's layout: ``config.pbtxt`` and ``1/model.onnx``.

    For clients, ``users.parquet`` and ``items.parquet`` beside them give raw ids by index. A logit
    of minus infinity marks an entry without an item: the user has no further unseen item, or the
    index is out of range.

    Parameters
    ----------
    source : Source
        Model and data.
    out : Path
        Folder of the repository.
    name : str
        Name of the model.
    k : int
        Length of every answer; clients take as many items as they need.

    Raises
    ------
    ArtifactError
        The model is too large for one graph.
    UsageError
        ``k`` is under 1 or above the catalogue.
    """
    check_name(name)
    checkpoint = source.checkpoint
    if not 1 <= k <= checkpoint.architecture.n_items:
        raise UsageError(f"k = {k} is outside 1 to {checkpoint.architecture.n_items}")
    with writer_lock(out / name), sealed_folder(out / name, TRITON) as folder:
        (folder / "1").mkdir()
        graph = triton_graph(source, k)
        parity = require_triton_parity(graph, source)
        (folder / "1" / "model.onnx").write_bytes(graph)
        config = _CONFIG.format(name=name, k=k, digest=checkpoint.digest)
        (folder / "config.pbtxt").write_text(config)
        write_id_table(folder / "users.parquet", checkpoint.users, Columns.USER_ID)
        write_id_table(folder / "items.parquet", checkpoint.items, Columns.ITEM_ID)
        digest = seal(folder, TRITON, json_values(TritonManifest(checkpoint=checkpoint.digest)))
    report = {"repository": str(out / name), "k": k}
    return {**report, "model.onnx": parity.max_difference, "digest": digest}


def require_triton_parity(graph: bytes, source: Source) -> Parity:
    """Compare the graph with PyTorch for sampled users, and try users who do not exist.

    Raises
    ------
    ParityError
        A logit, a rank or a mask differs, or an index out of range gets an answer.
    """
    architecture = source.checkpoint.architecture
    last = architecture.n_users - 1
    users = np.unique(np.linspace(0, last, _SAMPLE).astype(np.int64))
    seen = np.stack(source.data.interactions().csr()[users].nonzero(), axis=1)
    score = scorer(source.exported.model())
    expected = reference_for(users, seen, architecture.n_items, score)
    asked = np.concatenate([users, [-1, last + 1]])[:, None]
    items, logits = open_cpu(graph).run(["item", "logit"], {"user": asked})
    if np.isfinite(logits[-2:]).any():
        raise ParityError("the Triton graph answers for users who do not exist")
    top = TopK(items[:-2], logits[:-2])
    return compare_lists("the Triton graph", top, expected)


def triton_graph(source: Source, k: int) -> bytes:
    """Build ``user[n, 1] int64 -> item[n, k] int64, logit[n, k] float32``.

    Raises
    ------
    ArtifactError
        The graph would not fit into one ONNX file.
    """
    weights = source.exported.weights
    size = sum(array.nbytes for array in weights.values()) + 8 * len(source.data.interactions())
    if size > LARGEST_MODEL:
        raise ArtifactError(
            f"about {size:,} bytes do not fit into one ONNX file",
            where=source.checkpoint.path,
            remedy="use the bundle, which keeps user rows outside the graph",
        )
    graph = GraphBuilder()
    seen = source.data.interactions().csr()
    graph.constant("user_rows", np.concatenate(list(user_rows(weights))))
    # An index out of range must not get another user's answer, nor fail the rest of its batch.
    n_users = graph.constant("n_users", np.array(seen.shape[0], np.int64))
    zero = graph.constant("zero", np.array(0, np.int64))
    asked = graph.node("Squeeze", "user", graph.integers(1))
    not_negative = graph.node("GreaterOrEqual", asked, zero)
    known = graph.node("And", not_negative, graph.node("Less", asked, n_users))
    users = graph.node("Where", known, asked, zero)
    seen_pairs = _seen_pairs(graph, seen, users)
    rows = graph.node("Gather", "user_rows", users)
    length = graph.constant("k", np.array([k], np.int64))
    mask = graph.constant("mask", np.zeros(seen.shape[1], np.float32))
    ends = Ends(rows, mask, seen_pairs, length, logit="ranked")
    rank_users(graph, weights, Form.LOOP, ends)
    answered = graph.node("Unsqueeze", known, graph.integers(1))
    graph.outputs("Where", answered, "ranked", "unwanted", names=["logit"])
    return graph.model(
        "triton",
        {"user": (TensorProto.INT64, ["n", 1])},
        {"item": (TensorProto.INT64, ["n", k]), "logit": (TensorProto.FLOAT, ["n", k])},
    )


def _seen_pairs(graph: GraphBuilder, seen: sparse.csr_array, users: str) -> str:
    """Find position among ``users`` and item of their seen items: ``(m, 2)``."""
    graph.constant("starts", seen.indptr.astype(np.int64))
    graph.constant("seen_items", seen.indices.astype(np.int64))
    most = int(np.diff(seen.indptr).max())
    graph.constant("offsets", np.arange(most, dtype=np.int64)[None])
    start = graph.node("Gather", "starts", users)
    stop = graph.node("Gather", "starts", graph.node("Add", users, graph.integers(1)))
    count = graph.node("Unsqueeze", graph.node("Sub", stop, start), graph.integers(1))
    pairs = graph.node("NonZero", graph.node("Less", "offsets", count))
    position = graph.node("Gather", pairs, "zero")
    offset = graph.node("Gather", pairs, graph.constant("one", np.array(1, np.int64)))
    place = graph.node("Add", graph.node("Gather", start, position), offset)
    item = graph.node("Gather", "seen_items", place)
    columns = [graph.node("Unsqueeze", each, graph.integers(1)) for each in (position, item)]
    return graph.node("Concat", *columns, axis=1)
