"""A small world with a known taste: users and items fall into two camps that keep to themselves."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from export.publish import publish
from export.source import Source
from ncf.data.options import Format, Options
from ncf.data.prepare import prepare
from ncf.data.prepared import PreparedData, open_data
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.training.checkpoint import Checkpoint, open_checkpoint, weights_of, write_checkpoint
from ncf.training.manifest import Outcome
from ncf.training.trained import Trained
from tests.worlds import drawn_weights

torch.set_num_threads(1)

N_USERS, N_ITEMS = 40, 30


@pytest.fixture(scope="session", autouse=True)
def _copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copies of bundles go to a folder of this run, not to the one of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def ratings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV of 40 users and 30 items; even users like even items, odd users odd ones."""
    rng = np.random.default_rng(7)
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(N_USERS):
        camp = np.arange(user % 2, N_ITEMS, 2)
        liked = rng.permutation(camp)[: 8 + user % 5]
        rows += [f"u{user},film {item},{3 + item % 3},{1000 + n}" for n, item in enumerate(liked)]
    path = tmp_path_factory.mktemp("ratings") / "ratings.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def data_folder(ratings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world, prepared with few negatives, as each user has some twenty unseen items."""
    folder = tmp_path_factory.mktemp("data") / "small"
    titles = {f"film {item}": f"Film №{item}" for item in range(0, N_ITEMS, 3)}
    prepare(ratings_file, Format.CSV, folder, Options(negatives=12), titles)
    return folder


@pytest.fixture(scope="session")
def data(data_folder: Path) -> PreparedData:
    """The small world, opened."""
    return open_data(data_folder)


def random_checkpoint(
    folder: Path,
    data: PreparedData,
    kind: Kind,
    *,
    layers: int = 3,
    factors: int = 8,
    gmf_factors: int | None = None,
) -> Checkpoint:
    """A checkpoint of random weights, large enough that logits spread over several units."""
    sizes = (len(data.users), len(data.items), factors, layers)
    architecture = Architecture(kind, *sizes, gmf_factors=gmf_factors)
    torch.manual_seed(layers)
    model = build(architecture)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".user." in name or ".item." in name:
                parameter.mul_(200)
            elif name.endswith("bias"):
                parameter.normal_(std=0.3)
    write_checkpoint(
        folder, Trained(architecture, weights_of(model), [], Outcome(kind.value)), data
    )
    return open_checkpoint(folder)


@pytest.fixture(scope="session")
def checkpoint(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A NeuMF of random weights."""
    return random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "neumf", data, Kind.NEUMF)


@pytest.fixture(scope="session")
def bundle(
    checkpoint: Checkpoint, data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """The exported NeuMF; never write into it."""
    store = tmp_path_factory.mktemp("store")
    publish(Source(checkpoint, data), store, "ncf")
    return open_bundle(store / "ncf")


WIDE_USERS, WIDE_ITEMS = 240, 1000


@pytest.fixture(scope="session")
def wide_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A catalogue large enough for a screen; a fifth of the users has seen a lot."""
    rng = np.random.default_rng(3)
    rows = ["user_id,item_id"]
    for user in range(WIDE_USERS):
        seen = rng.permutation(WIDE_ITEMS)[: 300 if user % 5 == 0 else 12]
        rows += [f"u{user},i{item}" for item in seen]
    # Every item is somebody's, so that the catalogue has exactly so many.
    rows += [f"u{item % WIDE_USERS},i{item}" for item in range(WIDE_ITEMS)]
    folder = tmp_path_factory.mktemp("wide")
    (folder / "ratings.csv").write_text("\n".join(dict.fromkeys(rows)) + "\n")
    prepare(folder / "ratings.csv", Format.CSV, folder / "data", Options(negatives=12))
    return open_data(folder / "data")


@pytest.fixture(scope="session")
def wide_checkpoint(
    wide_data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    """A NeuMF whose users differ in a few tastes, as those of trained ones do."""
    architecture = Architecture(Kind.NEUMF, len(wide_data.users), len(wide_data.items), 16, 3)
    weights = drawn_weights(architecture, 0, 0.5, tastes=2)
    folder = tmp_path_factory.mktemp("wide-checkpoint") / "neumf"
    write_checkpoint(folder, Trained(architecture, weights, [], Outcome("neumf")), wide_data)
    return open_checkpoint(folder)


@pytest.fixture(scope="session")
def screened_bundle(
    wide_checkpoint: Checkpoint, wide_data: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """An exported NeuMF with a screen; never write into it."""
    store = tmp_path_factory.mktemp("wide-store")
    publish(Source(wide_checkpoint, wide_data), store, "wide")
    return open_bundle(store / "wide")
