"""A Triton model repository: the top-K graph with user rows and seen items inside.

Triton batches requests along the first axis of every input, so that the graph takes one user
index a row, and looks up what the bundle keeps outside: the rows and the seen items.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from export.builder import GraphBuilder
from export.bundle import Source
from export.publish import check_name
from export.topk import Form, rank_users, user_rows
from ncf.artifacts import Kind, seal, sealed_folder
from ncf.columns import Columns
from ncf.data.tables import write_id_table
from ncf.errors import ArtifactError, UsageError
from ncf.locks import writer_lock

TRITON = Kind("Triton model", "manifest.json", 1, "make it with 'ncf export --target triton'")

_LARGEST = 2**31 - 2**20  # bytes; protobuf stops at 2 GiB

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
    """Write ``out/NAME`` as Triton wants it: ``config.pbtxt`` and ``1/model.onnx``.

    ``users.parquet`` and ``items.parquet`` beside them give raw ids by index, for clients. A
    logit of minus infinity marks a place with no further unseen item.

    Parameters
    ----------
    source : Source
        Model and data.
    out : Path
        The model repository.
    name : str
        Of the model.
    k : int
        Length of every answer; clients take what they need of it.

    Raises
    ------
    ArtifactError
        The checkpoint was trained on other data, or the model is too large for one graph.
    UsageError
        ``k`` is under 1 or above the catalogue.
    """
    check_name(name)
    checkpoint = source.checkpoint
    checkpoint.require_data(source.data)
    if not 1 <= k <= checkpoint.architecture.n_items:
        raise UsageError(f"k = {k} is outside 1 to {checkpoint.architecture.n_items}")
    with writer_lock(out / name), sealed_folder(out / name, TRITON) as folder:
        (folder / "1").mkdir()
        (folder / "1" / "model.onnx").write_bytes(triton_graph(source, k))
        config = _CONFIG.format(name=name, k=k, digest=checkpoint.digest)
        (folder / "config.pbtxt").write_text(config)
        write_id_table(folder / "users.parquet", checkpoint.users, Columns.USER_ID)
        write_id_table(folder / "items.parquet", checkpoint.items, Columns.ITEM_ID)
        digest = seal(folder, TRITON, {"checkpoint": checkpoint.digest})
    return {"repository": str(out / name), "k": k, "digest": digest}


def triton_graph(source: Source, k: int) -> bytes:
    """Build ``user[n, 1] int64 -> item[n, k] int64, logit[n, k] float32``.

    Raises
    ------
    ArtifactError
        It would not fit into one ONNX file.
    """
    weights = source.checkpoint.weights
    size = sum(array.nbytes for array in weights.values()) + 8 * len(source.data.known())
    if size > _LARGEST:
        raise ArtifactError(
            f"about {size:,} bytes do not fit into one ONNX file",
            where=source.checkpoint.path,
            remedy="use the bundle, which keeps user rows outside the graph",
        )
    graph = GraphBuilder()
    seen = source.data.known().csr()
    graph.constant("user_rows", np.concatenate(list(user_rows(weights))))
    graph.constant("starts", seen.indptr.astype(np.int64))
    graph.constant("seen_items", seen.indices.astype(np.int64))
    most = int(np.diff(seen.indptr).max())
    graph.constant("offsets", np.arange(most, dtype=np.int64)[None])
    users = graph.node("Squeeze", "user", graph.integers(1))
    start = graph.node("Gather", "starts", users)
    stop = graph.node("Gather", "starts", graph.node("Add", users, graph.integers(1)))
    count = graph.node("Unsqueeze", graph.node("Sub", stop, start), graph.integers(1))
    pairs = graph.node("NonZero", graph.node("Less", "offsets", count))
    position = graph.node("Gather", pairs, graph.constant("zero", np.array(0, np.int64)))
    offset = graph.node("Gather", pairs, graph.constant("one", np.array(1, np.int64)))
    place = graph.node("Add", graph.node("Gather", start, position), offset)
    item = graph.node("Gather", "seen_items", place)
    columns = [graph.node("Unsqueeze", each, graph.integers(1)) for each in (position, item)]
    seen_pairs = graph.node("Concat", *columns, axis=1)
    rows = graph.node("Gather", "user_rows", users)
    length = graph.constant("k", np.array([k], np.int64))
    rank_users(graph, weights, Form.LOOP, (rows, seen_pairs, length))
    return graph.model(
        "triton",
        {"user": (TensorProto.INT64, ["n", 1])},
        {"item": (TensorProto.INT64, ["n", k]), "logit": (TensorProto.FLOAT, ["n", k])},
    )
