"""What ``bundle.json`` says; ``docs/bundle.schema.json`` is made from these types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from ncf.artifacts import Kind, Manifest
from ncf.policies import ColdUser
from ncf.scoring.screen_manifest import NoScreen, Screen
from ncf.scoring.values import Count, Digest, Distance, Positive
from ncf.validation import Validation


@dataclass(frozen=True)
class Model:
    """Kind and sizes of the model.

    Parameters
    ----------
    kind : {"gmf", "mlp", "neumf"}
        Which network.
    n_users, n_items : int
        Trained users, and items of the catalogue.
    factors, gmf_factors : int
        Predictive factors of the MLP and of the GMF branch.
    layers : int
        Layers of the MLP tower.
    row_width : int
        Columns of users.npy.
    interactions : int
        Interactions that the model was exported with.
    """

    kind: Literal["gmf", "mlp", "neumf"]
    n_users: Positive
    n_items: Positive
    factors: Positive
    gmf_factors: Positive
    layers: Annotated[int, {"minimum": 1, "maximum": 5}]
    row_width: Positive
    interactions: Count


@dataclass(frozen=True)
class Parity:
    """How far two ways to compute logits are apart.

    Parameters
    ----------
    compared : int
        Logits compared.
    max_difference, mean_difference : float
        Absolute, in logits.
    tolerance : float
        Largest difference that is let through.
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
        Cases averaged, at most 10,000, and the users they belong to.
    unranked : int
        Cases left out, as their user has no unseen item to rank against.
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
    """Figures of the model by the sampled protocol.

    Parameters
    ----------
    validation : Validation
        Figures of the best epoch, which the validation part chose; empty where none are recorded.
    test : SampledMetrics or None
        Sampled protocol, at most 10,000 cases.
    """

    validation: Validation
    test: SampledMetrics | None


@dataclass(frozen=True)
class Provenance:
    """What a bundle was made from.

    Parameters
    ----------
    checkpoint : str
        Digest of the checkpoint.
    checkpoint_files : mapping
        SHA-256 of its files, by name.
    variant : str
        How the model was trained.
    data : str
        Digest of the prepared data.
    data_files : mapping
        SHA-256 of its files, by name.
    source : mapping
        SHA-256 of each ratings file, by name.
    versions : mapping
        Versions of the toolkit and of libraries, by name.
    created : str or None
        Time from SOURCE_DATE_EPOCH, where it was set.
    """

    checkpoint: Digest
    checkpoint_files: Mapping[str, Digest]
    variant: str
    data: Digest
    data_files: Mapping[str, Digest]
    source: Mapping[str, Digest]
    versions: Mapping[str, str]
    created: str | None


@dataclass(frozen=True, kw_only=True)
class BundleManifest(Manifest):
    """What ``bundle.json`` says.

    Parameters
    ----------
    model : Model
        Kind and sizes.
    cold_user : ColdUser
        What a user gets whom the model does not know.
    parity : mapping
        How far each graph is from PyTorch, in logits.
    screen : Screen or NoScreen
        How the screened graph was calibrated, or why there is none.
    metrics : BundleMetrics
        Figures of the model.
    provenance : Provenance
        What it was made from.
    """

    model: Model
    cold_user: ColdUser
    parity: Mapping[str, Parity]
    screen: Screen | NoScreen
    metrics: BundleMetrics
    provenance: Provenance


BUNDLE = Kind(
    "bundle",
    "bundle.json",
    2,
    "make it with 'ncf export'",
    BundleManifest,
    r"(score|topk|topk\.cuda|screen|rescore)\.onnx|score\.onnx\.data|(users|popular)\.npy|(ids|seen)\.npz"
    r"|(users|items)\.parquet|golden\.json|MODEL_CARD\.md",
)
