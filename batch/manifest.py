"""What the manifest of a run says, and what decides the bytes of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from batch.options import Layout, Mode, TableFormat
from batch.tables import Style
from ncf.artifacts import Kind, Manifest
from ncf.policies import Strangers
from ncf.records import KEY, optional


@dataclass(frozen=True)
class Parameters:
    """How a run was asked for.

    Parameters
    ----------
    k : int
        Rows a user at most.
    shard_users : int
        Users a part at most.
    format : TableFormat
        File format of the parts.
    layout : Layout
        Rows of items, or rows of lists.
    cold_user : Strangers or None
        What strangers get; None is what the bundle was exported with.
    """

    k: int
    shard_users: int
    format: TableFormat
    layout: Layout
    cold_user: Strangers | None

    @property
    def style(self) -> Style:
        """How the parts are written."""
        return Style(self.format, self.layout)


@dataclass(frozen=True)
class AuditPlan:
    """How a screened run is audited.

    Parameters
    ----------
    pairs_a_user : float
        Expected number of pairs.
    seed : int
        Of the pairs.
    target : float
        Recall to prove.
    confidence : float
        Of this proof alone.
    number : int
        Counts the tries, from 1.
    """

    pairs_a_user: float
    seed: int
    target: float
    confidence: float
    number: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that may change the bytes of a part.

    Parameters
    ----------
    parameters : Parameters
        How the run was asked for.
    inputs : mapping
        SHA-256 of the files by the name of their option, and the digest of the bundle.
    ncf, onnxruntime, pyarrow : str
        Versions.
    parts_version : int
        Counts changes to how parts are made.
    device : str
        Where the run is ranked.
    mode : Mode
        Exact or screened.
    width : float or None
        Times the calibrated candidates beyond K; None for exact ranking.
    audit : AuditPlan or None
        What is to prove a screen's recall; None for exact ranking.
    """

    parameters: Parameters
    inputs: Mapping[str, str]
    ncf: str
    onnxruntime: str
    pyarrow: str
    parts_version: int
    device: str
    mode: Mode
    width: float | None = optional()
    audit: AuditPlan | None = optional()


@dataclass(frozen=True)
class RecallProof:
    """What the audit of a screened run has proven.

    Parameters
    ----------
    target : float
        Recall to prove.
    lower_bound, estimate : float
        Of the whole table's recall.
    confidence, confidence_of_this_try : float
        Of all tries together, and of this one alone.
    number : int
        Counts the tries, from 1; ``try`` in JSON.
    method : str
        How the bound is made.
    seed : int
        Of the pairs.
    candidates : int
        Items a user that were scored exactly.
    drawn, missed, population, listed : float, int, int, int
        The sample; see :class:`ncf.proof.recall.PairSample`.
    """

    target: float
    lower_bound: float
    estimate: float
    confidence: float
    confidence_of_this_try: float
    number: int = field(metadata={KEY: "try"})
    method: str
    seed: int
    candidates: int
    drawn: float
    missed: int
    population: int
    listed: int


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """What the files of users and items held.

    Parameters
    ----------
    unknown_users : int
        Users asked for, or with interactions, whom the model does not know.
    cold_users : int or None
        Users asked for of whom the model has no training pair; None where the bundle has none.
    seen_rows, seen_rows_of_unknown_items : int or None
        Interactions since the export, and those whose items the bundle does not know; None
        without such a file.
    candidates_unknown, exclude_items_unknown : int or None
        Ids that the bundle does not know; None without such a file.
    """

    unknown_users: int = 0
    cold_users: int | None = optional()
    seen_rows: int | None = optional()
    seen_rows_of_unknown_items: int | None = optional()
    candidates_unknown: int | None = optional()
    exclude_items_unknown: int | None = optional()


@dataclass(frozen=True, kw_only=True)
class RunManifest(FileCounts, Identity, Manifest):
    """What ``_manifest.json`` says, besides what decides the bytes and what the files held.

    Parameters
    ----------
    users, rows : int
        Users and rows of the table.
    users_by_policy, rows_by_part : mapping
        The same by policy, and by name of the part.
    parts_reused : int
        Parts taken over from a run that died.
    users_per_second : float or None
        Speed of the ranking; None where parts were reused.
    recall : RecallProof or None
        What the audit has proven; None for exact ranking.
    sequence : int
        How many runs had been published with this one.
    seconds : mapping
        Seconds by phase.
    peak_memory_bytes : int or None
        Most memory that the process held.
    """

    users: int
    rows: int
    users_by_policy: Mapping[str, int]
    rows_by_part: Mapping[str, int]
    parts_reused: int = 0
    users_per_second: float | None = optional()
    recall: RecallProof | None = optional()
    sequence: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None


# Readers of a Parquet data set skip names that begin with "_" or ".": all but parts begin so.
RUN = Kind(
    "run",
    "_manifest.json",
    2,
    "make it with 'ncf batch'",
    RunManifest,
    r"part-\d+\.(parquet|csv)|_SUCCESS",
    former_manifest="manifest.json",
)
