"""What ``bundle.json`` says; ``docs/bundle.schema.json`` is made from these types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from ncf.artifacts import Kind, Manifest
from ncf.policies import ColdUser
from ncf.validation import Validation

# Beside a type: what JSON Schema says of its values.
Count: TypeAlias = Annotated[int, {"minimum": 0}]
Positive: TypeAlias = Annotated[int, {"minimum": 1}]
Share: TypeAlias = Annotated[float, {"minimum": 0, "maximum": 1}]
Distance: TypeAlias = Annotated[float, {"minimum": 0}]
Digest: TypeAlias = Annotated[str, {"pattern": "^[0-9a-f]{64}$"}]


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
        Columns of users.npy
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
class NoScreen:
    """Why a bundle has no screened graph.

    Parameters
    ----------
    reason : str
        Why not.
    """

    reason: str


@dataclass(frozen=True)
class SampledUsers:
    """Counts of the users that a screen was calibrated with.

    Parameters
    ----------
    fit, choose, held_out : int
        The basis was fitted to the first, the second chose rank and candidates, the third measured
        recall
    """

    fit: Positive
    choose: Positive
    held_out: Positive


@dataclass(frozen=True)
class Calibrated:
    """What export found to be enough for lists up to a length.

    Parameters
    ----------
    k : int
        Length of the lists.
    candidates : int
        Items a user to score exactly, for lists up to k
    recall : float
        Of held-out users' exact lists.
    recall_bound : float
        One-sided 95 % lower bound, by user
    estimated_gain : float
        Arithmetic of exact ranking, as a multiple
    """

    k: Positive
    candidates: Positive
    recall: Share
    recall_bound: Share
    estimated_gain: Annotated[float, {"exclusiveMinimum": 0}]


@dataclass(frozen=True)
class Screen:
    """How the screened graph was calibrated.

    Parameters
    ----------
    target : float
        Least recall on held-out users
    seed : int
        Of the sampled users.
    rank : int
        Columns of the basis.
    landmarks : int
        Items whose tower every user's guess starts from
    users : SampledUsers
        Sampled users, by what they were used for
    by_k : tuple of Calibrated
        By ascending length of list; longer lists than the last are for the exact graph
    """

    target: Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}]
    seed: Count
    rank: Positive
    landmarks: Positive
    users: SampledUsers
    by_k: Annotated[tuple[Calibrated, ...], {"minItems": 1}]


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
        Figures of the best epoch, which the validation part chose; empty where none are recorded
    test : SampledMetrics or None
        Sampled protocol, at most 10,000 cases
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
        SHA-256 of its files, by name
    variant : str
        How the model was trained.
    data : str
        Digest of the prepared data.
    data_files : mapping
        SHA-256 of its files, by name
    source : mapping
        SHA-256 of each ratings file, by name
    versions : mapping
        Versions of the toolkit and of libraries, by name
    created : str or None
        Time from SOURCE_DATE_EPOCH, where it was set
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
        What a user gets whom the model does not know
    parity : mapping
        How far each graph is from PyTorch, in logits
    screen : Screen or NoScreen
        How the screened graph was calibrated, or why there is none
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
    r"(score|topk|topk\.cuda|screen|rescore)\.onnx|score\.onnx\.data|(users|popular|cold)\.npy|(ids|seen)\.npz"
    r"|(users|items)\.parquet|golden\.json|MODEL_CARD\.md",
)
