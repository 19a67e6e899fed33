"""Define ``bundle.json``; ``docs/bundle.schema.json`` is made from these types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from ncf.kinds import Kind, Manifest
from ncf.policies import ColdUser
from ncf.records import optional
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn
from ncf.scoring.screen_manifest import NoScreen, Screen
from ncf.scoring.values import Count, Digest, Distance, Positive
from ncf.validation import Validation


@dataclass(frozen=True)
class Model:
    """Kind and sizes of the model.

    Parameters
    ----------
    kind : {"gmf", "mlp", "neumf"}
        Kind of the network.
    n_users, n_items : int
        Counts of trained users and of items in the catalogue.
    factors, gmf_factors : int
        Predictive factors of the MLP and of the GMF branch.
    layers : int
        Layers of the MLP tower.
    row_width : int
        Columns of users.npy.
    interactions : int
        Interactions that the model was exported with.
    weights : {"product", "honest"} or None
        Whether it was trained on all interactions, or without those held out for evaluation; None
        in bundles of before.
    """

    kind: Literal["gmf", "mlp", "neumf"]
    n_users: Positive
    n_items: Positive
    factors: Positive
    gmf_factors: Positive
    layers: Annotated[int, {"minimum": 1, "maximum": 5}]
    row_width: Positive
    interactions: Count
    weights: Literal["product", "honest"] | None = optional()


@dataclass(frozen=True)
class Parity:
    """The differences between two ways to compute logits.

    Parameters
    ----------
    compared : int
        Count of logits compared.
    max_difference, mean_difference : float
        Absolute differences of logits.
    tolerance : float
        Largest difference allowed.
    """

    compared: Count
    max_difference: Distance
    mean_difference: Distance
    tolerance: Annotated[float, {"exclusiveMinimum": 0}]


@dataclass(frozen=True)
class SampledMetrics:
    """Means over test cases by the sampled protocol, with standard errors clustered by user.

    Parameters
    ----------
    protocol : str
        ``sampled``
    k : int
        Length of the list.
    cases, users : int
        Count of cases averaged, at most 10,000, and of their users.
    unranked : int
        Cases left out because their user has no unseen item to rank against.
    hr, ndcg, mrr : float
        Hit ratio, normalised discounted cumulative gain and mean reciprocal rank at K.
    hr_se, ndcg_se, mrr_se : float
        Their standard errors.
    """

    protocol: str
    k: Positive
    cases: Count
    users: Count
    unranked: Count
    hr: float
    hr_se: float
    ndcg: float
    ndcg_se: float
    mrr: float
    mrr_se: float


@dataclass(frozen=True)
class BundleMetrics:
    """Figures by the sampled protocol.

    Parameters
    ----------
    validation : Validation
        Figures of the best epoch, chosen on the validation part; empty if none are recorded.
    test : SampledMetrics or None
        Figures of at most 10,000 test cases by the sampled protocol.
    weights : {"honest"} or None
        The weights that were measured, which have not seen what they are measured on; None in
        bundles of before.
    """

    validation: Validation
    test: SampledMetrics | None
    weights: Literal["honest"] | None = optional()


@dataclass(frozen=True)
class Provenance:
    """The origin of a bundle.

    Parameters
    ----------
    checkpoint : str
        Digest of the checkpoint.
    checkpoint_files : mapping
        SHA-256 of its files, by name.
    variant : str
        Variant that was trained.
    data : str
        Digest of the prepared data.
    data_files : mapping
        SHA-256 of its files, by name.
    source : mapping
        SHA-256 of each ratings file, by name.
    versions : mapping
        Versions of the toolkit and of libraries, by name.
    created : str or None
        Time from SOURCE_DATE_EPOCH, if it was set.
    """

    checkpoint: Digest
    checkpoint_files: Mapping[str, Digest]
    variant: str
    data: Digest
    data_files: Mapping[str, Digest]
    source: Mapping[str, Digest]
    versions: Mapping[str, str]
    created: str | None


@dataclass(frozen=True)
class NewItems:
    """Items that were added to a bundle without training, and figures of the old bundle stayed.

    Parameters
    ----------
    parent : str
        Digest of the bundle that they were added to.
    file : str
        SHA-256 of the file of those who took them.
    items, pairs : int
        Counts of the items added, and of who took them.
    items_without_known_users : int
        New items left out, as nobody whom the model knows took them.
    rows_of_known_items : int
        Interactions left out, as their items were known.
    """

    parent: Digest
    file: Digest
    items: Positive
    pairs: Positive
    items_without_known_users: Count
    rows_of_known_items: Count


@dataclass(frozen=True, kw_only=True)
class BundleManifest(Manifest):
    """The manifest of a bundle, ``bundle.json``.

    Parameters
    ----------
    model : Model
        Kind and sizes of the model.
    cold_user : ColdUser
        What strangers get.
    parity : mapping
        Differences of each graph from PyTorch, in logits.
    screen : Screen or NoScreen
        Calibration of the screened graph, or the reason why there is none.
    metrics : BundleMetrics
        Figures of the model.
    provenance : Provenance
        Origin of the bundle.
    fold_in : FoldInFacts or NoFoldIn or None
        What folding in is worth, or the reason why there is none; None in bundles of before.
    new_items : NewItems or None
        Items added without training; None if there are none.
    """

    model: Model
    cold_user: ColdUser
    parity: Mapping[str, Parity]
    screen: Screen | NoScreen
    metrics: BundleMetrics
    provenance: Provenance
    fold_in: FoldInFacts | NoFoldIn | None = optional()
    new_items: NewItems | None = optional()


BUNDLE = Kind(
    "bundle",
    "bundle.json",
    2,
    "make it with 'ncf export'",
    BundleManifest,
    r"(score|topk|topk\.cuda|screen|rescore|foldin)\.onnx|score\.onnx\.data|(users|popular|cold|item_map)\.npy|(ids|seen|unlearned)\.npz"
    r"|(users|items)\.parquet|golden\.json|MODEL_CARD\.md",
)
