"""``ncf export`` writes a trained model as a bundle and an archive, or for Triton."""

from functools import partial
from pathlib import Path
from typing import Any

import ncf
from ncf.cli.export_options import (
    AnswerLength,
    ExportName,
    ExportTarget,
    FoldIn,
    ForStrangers,
    FromCheckpoint,
    FromData,
    MinHistory,
    NewItemsFile,
    NewTitles,
    OldBundle,
    Screen,
    Store,
    Target,
    Version,
)
from ncf.cli.options import AsJson
from ncf.cli.output import show
from ncf.errors import UsageError
from ncf.policies import ColdUser


def export(
    checkpoint: FromCheckpoint = None,
    data: FromData = None,
    out: Store = Path("model_store"),
    name: ExportName = "ncf",
    target: ExportTarget = Target.TORCHSERVE,
    version: Version = "1.0",
    cold_user: ForStrangers = ColdUser.POPULAR,
    k: AnswerLength = None,
    screen: Screen = True,
    fold_in: FoldIn = True,
    min_history: MinHistory = None,
    bundle: OldBundle = None,
    new_items: NewItemsFile = None,
    titles: NewTitles = None,
    as_json: AsJson = False,
) -> None:
    """Export a bundle and a .mar: ONNX graphs that equal the checkpoint, ids and digests.

    Example: ncf export --checkpoint checkpoints/neumf-pre --data data/ml-100k --out model_store

    Example: ncf export --bundle model_store/ncf --new-items today.csv --out model_store
    """
    places = partial(dict[str, Any], out=out, name=name)
    if bundle is not None and new_items is not None and checkpoint is None and data is None:
        placed = places(version=version, titles=titles)
        found = ncf.add_items(bundle, new_items, **placed).exported
    elif bundle is not None or new_items is not None:
        raise UsageError(
            "new items are added to a bundle",
            remedy="give `bundle` and `new_items`, and neither `checkpoint` nor `data`",
        )
    elif checkpoint is None or data is None:
        missing = "checkpoint" if checkpoint is None else "data"
        raise UsageError(f"`{missing}` is missing", remedy="give `checkpoint` and `data`")
    elif target is Target.TRITON:
        found = ncf.export_triton(checkpoint, data, **places(k=k))
    else:
        options = places(version=version, cold_user=cold_user, screen=screen, fold_in=fold_in)
        found = ncf.export(checkpoint, data, **options, min_history=min_history).exported
    show(found, as_json=as_json)
