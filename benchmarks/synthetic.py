"""A world of any size with random weights: for timings, which do not depend on what was learnt."""

from pathlib import Path

import numpy as np
import torch

from export.publish import publish
from export.source import Source
from ncf.data.interactions import Interactions
from ncf.data.manifests import Counts, DataManifest
from ncf.data.options import Options
from ncf.data.prepared import (
    PreparedData,
    negatives_path,
    open_data,
    seal_data,
    write_interactions,
)
from ncf.identifiers import IdMap
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import open_checkpoint, weights_of, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.trained import Trained


def make_data(folder: Path, n_users: int, n_items: int, each: int) -> PreparedData:
    """Write prepared data in which every user has about ``each`` interactions, and no test case."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users, dtype=np.int32), each)
    items = (n_items * rng.random(users.size) ** 2).astype(np.int32)
    train = Interactions(users, items, n_users, n_items)
    nothing = train.take(np.zeros(len(train), np.bool_))
    folder.mkdir(parents=True)
    write_interactions(folder, "train", train)
    for part in ("validation", "test"):
        write_interactions(folder, part, nothing)
        np.save(negatives_path(folder, part), np.empty((0, Options.negatives), np.int32))
    users_map, items_map = (IdMap([str(i) for i in range(size)]) for size in (n_users, n_items))
    seal_data(folder, users_map, items_map, made_up(train))
    return open_data(folder)


def made_up(train: Interactions, validation: int = 0) -> DataManifest:
    """Describe data that no file holds: its training pairs, and how many validation cases."""
    return DataManifest(
        source={"synthetic": "0" * 64},
        format="frame",
        options=Options(),
        counts=Counts(
            rows=len(train) + validation,
            duplicates=0,
            order="given",
            train=len(train),
            validation=validation,
            test=0,
        ),
        n_users=train.n_users,
        n_items=train.n_items,
    )


def make_bundle(
    folder: Path, data: PreparedData, kind: Kind, layers: int = 3, factors: int = 32
) -> Bundle:
    """Export a network with random weights."""
    architecture = Architecture(kind, len(data.users), len(data.items), factors, layers)
    torch.manual_seed(0)
    trained = Trained(architecture, weights_of(build(architecture)), [], Outcome(kind.value))
    write_checkpoint(folder / "checkpoint", trained, data)
    publish(Source(open_checkpoint(folder / "checkpoint"), data), folder, "ncf")
    return open_bundle(folder / "ncf")
