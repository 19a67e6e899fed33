"""Write a bundle: everything that its users need, and nothing that runs code."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.model_card import model_card
from export.provenance import created, versions
from export.screen.assembly import NOT_WANTED, make_screen, summary
from ncf.arrays import map_npy, new_npy
from ncf.artifacts import seal
from ncf.columns import Columns
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.data.tables import write_id_table
from ncf.evaluation.protocols import sampled
from ncf.graphs.score import write_score_graph
from ncf.graphs.topk import FORMS, topk_graph, user_rows
from ncf.graphs.tower import row_width
from ncf.identifiers import write_id_maps
from ncf.models.scorer import group_scorer, scorer
from ncf.models.weights import Weights
from ncf.policies import ColdUser
from ncf.proof.bundle_parity import require_pair_parity, require_topk_parity
from ncf.records import json_values
from ncf.scoring import bundle as files
from ncf.scoring.exact import ExactRanker
from ncf.scoring.golden import record
from ncf.scoring.manifest import (
    BUNDLE,
    BundleManifest,
    BundleMetrics,
    Model,
    Provenance,
    SampledMetrics,
)
from ncf.scoring.recommend import Recommender
from ncf.scoring.screen_manifest import NoScreen, Screen
from ncf.training.checkpoint import Checkpoint

_TEST_CASES = 10_000
_GOLDEN_USERS = 8
_GOLDEN_K = 10
_STRANGER = "\N{BULLET} a user whom no data holds"


@dataclass(frozen=True)
class Source:
    """The inputs of a bundle.

    Parameters
    ----------
    checkpoint : Checkpoint
        The trained model, with honest weights and maybe product weights.
    data : PreparedData
        Data of the training, which gives seen items and their popularity.
    cold_user : ColdUser
        What strangers get.
    screen : bool
        Whether to try to make a screen.

    Raises
    ------
    ArtifactError
        The checkpoint was trained on other data.
    """

    checkpoint: Checkpoint
    data: PreparedData
    cold_user: ColdUser = ColdUser.POPULAR
    screen: bool = True

    def __post_init__(self) -> None:
        """Check that the model was trained on the data."""
        self.checkpoint.require_data(self.data)

    @property
    def exported(self) -> Checkpoint:
        """The checkpoint with the weights to export: the product's where there are any."""
        return self.checkpoint.exported()

    def trained_users(self) -> npt.NDArray[np.bool_]:
        """Whether the exported weights have a training pair of each user, bool ``(users,)``."""
        return (self.data.joined() if self.exported.saw_all else self.data).trained()


def write_bundle(source: Source, folder: Path, name: str) -> dict[str, Any]:
    """Fill an empty folder with a bundle and seal it.

    Parameters
    ----------
    source : Source
        Model and data.
    folder : Path
        An empty folder.
    name : str
        Name of the model, for the model card.

    Returns
    -------
    dict
        Largest difference from PyTorch by graph, the ``screen`` or why there is none, and the
        bundle's ``digest``.

    Raises
    ------
    ParityError
        A graph and PyTorch disagree.
    """
    checkpoint, data = source.exported, source.data
    pair_graph = folder / files.SCORE_GRAPH
    write_score_graph(checkpoint.weights, pair_graph)
    sizes = (checkpoint.architecture.n_users, checkpoint.architecture.n_items)
    score = scorer(checkpoint.model())
    parity = {files.SCORE_GRAPH: require_pair_parity(pair_graph, sizes, score)}
    for graph_name, content in topk_graphs(checkpoint.weights).items():
        (folder / graph_name).write_bytes(content)
    _write_user_rows(checkpoint, folder / files.USER_ROWS_FILE)
    write_id_table(folder / files.USERS_FILE, checkpoint.users, Columns.USER_ID)
    write_id_table(folder / files.ITEMS_FILE, checkpoint.items, Columns.ITEM_ID)
    write_id_maps(folder / files.IDS_FILE, {"users": checkpoint.users, "items": checkpoint.items})
    interactions = data.interactions()
    # Not compressed: the bytes of zlib differ between its versions.
    sparse.save_npz(folder / files.SEEN_FILE, interactions.csr(), compressed=False)
    np.save(folder / files.POPULAR_FILE, by_popularity(interactions))
    _write_cold(source.trained_users(), folder / files.COLD_FILE)
    manifest = _manifest(source, len(interactions), _write_screen(source, interactions, folder))
    unsealed = files.Bundle(folder, manifest)
    parity |= require_topk_parity(unsealed, score)
    manifest = replace(manifest, parity=parity)
    (folder / files.GOLDEN_FILE).write_bytes(_golden(unsealed))
    recipe = json.dumps(checkpoint.manifest.recipe, indent=2, sort_keys=True)
    (folder / files.CARD_FILE).write_text(model_card(name, manifest, recipe), encoding="utf-8")
    digest = seal(folder, BUNDLE, json_values(manifest))
    differences = {each: report.max_difference for each, report in parity.items()}
    return {**differences, "screen": summary(manifest.screen), "digest": digest}


def topk_graphs(weights: Weights) -> dict[str, bytes]:
    """Build both forms of the top-K graph, by their file names in a bundle."""
    return {name: topk_graph(weights, FORMS[device]) for device, name in files.TOPK_GRAPHS.items()}


def by_popularity(interactions: Interactions) -> npt.NDArray[np.int32]:
    """Order item indices from the most to the least interacted with; ties by ascending index."""
    counts = np.bincount(interactions.items, minlength=interactions.n_items)
    return np.argsort(-counts, kind="stable").astype(np.int32)


def _write_cold(trained: npt.NDArray[np.bool_], path: Path) -> None:
    """Write who has no training pair; no file if everyone has one."""
    cold = np.flatnonzero(~trained).astype(np.int64)
    if cold.size:
        np.save(path, cold)


def _write_user_rows(checkpoint: Checkpoint, path: Path) -> None:
    shape = (checkpoint.architecture.n_users, row_width(checkpoint.weights))
    rows = new_npy(path, np.float32, shape)
    start = 0
    for part in user_rows(checkpoint.weights):
        rows[start : start + len(part)] = part
        start += len(part)
    rows.flush()


def _write_screen(source: Source, interactions: Interactions, folder: Path) -> Screen | NoScreen:
    if not source.screen:
        return NOT_WANTED
    rows = map_npy(folder / files.USER_ROWS_FILE)
    screen = make_screen(source.exported.weights, rows, interactions.csr())
    for name, content in screen.graphs.items():
        (folder / name).write_bytes(content)
    return screen.facts


def _manifest(source: Source, interactions: int, screen: Screen | NoScreen) -> BundleManifest:
    """Describe a bundle whose parity is not measured yet."""
    checkpoint, data = source.exported, source.data
    architecture = checkpoint.architecture
    return BundleManifest(
        model=Model(
            kind=architecture.kind.value,
            n_users=architecture.n_users,
            n_items=architecture.n_items,
            factors=architecture.factors,
            gmf_factors=architecture.gmf_width,
            layers=architecture.layers,
            row_width=row_width(checkpoint.weights),
            interactions=interactions,
            weights="product" if checkpoint.saw_all else "honest",
        ),
        cold_user=source.cold_user,
        parity={},
        screen=screen,
        metrics=BundleMetrics(checkpoint.manifest.validation, _test_metrics(source), "honest"),
        provenance=Provenance(
            checkpoint=checkpoint.digest,
            checkpoint_files=checkpoint.manifest.files,
            variant=checkpoint.manifest.variant,
            data=data.digest,
            data_files=data.manifest.files,
            source=data.manifest.source,
            versions=versions(),
            created=created(),
        ),
    )


def _test_metrics(source: Source) -> SampledMetrics | None:
    """Honest figures of up to 10,000 test cases, by the sampled protocol; None where there is none.

    Users whom the honest weights do not know are left out: no model ranks for them.
    """
    test = source.data.test
    if not source.data.has_negatives:
        return None
    rows = np.random.default_rng(0).permutation(len(test.positives))
    rows = rows[source.data.trained()[test.positives.users[rows]]][:_TEST_CASES]
    if not rows.size:
        return None
    rows.sort()
    found = sampled(group_scorer(source.checkpoint.model()), test.take(rows), 10)
    return SampledMetrics(**asdict(found))


def _golden(bundle: files.Bundle) -> bytes:
    trained = np.setdiff1d(np.arange(bundle.n_users), bundle.cold, assume_unique=True)
    chosen = np.linspace(0, trained.size - 1, min(_GOLDEN_USERS, trained.size)).astype(np.int64)
    users = [bundle.users.raw[index] for index in trained[chosen].tolist()]
    if bundle.manifest.cold_user is ColdUser.POPULAR:
        users += [bundle.users.raw[index] for index in bundle.cold[:1].tolist()]
        users.append(_STRANGER)
    return record(Recommender(bundle, ExactRanker.open(bundle)), users, _GOLDEN_K)
