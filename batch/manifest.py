"""Define the manifest of a run, and everything that determines the bytes of its parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch.options import Layout, Mode, TableFormat
from batch.recall_manifest import AuditPlan, RecallProof
from batch.since_manifest import Taken
from batch.tables import Style
from ncf.artifacts import is_intact
from ncf.kinds import Kind, Manifest
from ncf.policies import Strangers
from ncf.records import optional

PARTS_VERSION = 2
"""Raised when parts are made in another way."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of a run.

    Parameters
    ----------
    k : int
        Largest number of rows for each user.
    shard_users : int
        Largest number of users in a part.
    format : TableFormat
        File format of the parts.
    layout : Layout
        Rows of items, or rows of lists.
    cold_user : Strangers or None
        What strangers get; None means as the bundle was exported.
    keep_spaces : bool or None
        Whether spaces around ids of text files were kept.
    refresh : bool or None
        Whether rows of trained users moved along with their interactions since the export.
    columns : mapping or None
        Names that columns have in the files, where they were given.
    date : str or None
        The logical date, such as ``2026-11-26``, in UTC.
    """

    k: int
    shard_users: int
    format: TableFormat
    layout: Layout
    cold_user: Strangers | None
    keep_spaces: bool | None = optional()
    refresh: bool | None = optional()
    columns: Mapping[str, str] | None = optional()
    date: str | None = optional()

    @property
    def style(self) -> Style:
        """File format and layout of the parts."""
        return Style(self.format, self.layout)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that may change the bytes of a part.

    Parameters
    ----------
    parameters : Parameters
        Parameters of the run.
    inputs : mapping
        SHA-256 of the files by the names of their options, and the digest of the bundle.
    ncf, onnxruntime, pyarrow : str
        Versions.
    parts_version : int
        Version of the way that parts are made.
    device : str
        Device that ranks.
    mode : Mode
        Exact or screened.
    width : float or None
        Factor on the calibrated candidates; None for exact ranking.
    audit : AuditPlan or None
        Plan of the audit that proves a screen's recall; None for exact ranking.
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
class Decision:
    """The decision how to rank, which is taken once, before the first shard.

    Parameters
    ----------
    mode : Mode
        Exact or screened. A screened run that cannot prove its recall ends exact after all.
    reason : str
        Why.
    exact_seconds, screened_seconds : float or None
        Estimates for this machine, where they decided.
    took_seconds : float or None
        Seconds that lists and proof took after that, where there were estimates.
    """

    mode: Mode
    reason: str
    exact_seconds: float | None = optional()
    screened_seconds: float | None = optional()
    took_seconds: float | None = optional()


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """Counts of ids in the files of users and items.

    Parameters
    ----------
    unknown_users : int
        Strangers who were asked for or have interactions.
    cold_users : int or None
        Users asked for who have no training pair; None if the bundle has no such user.
    seen_rows, seen_rows_of_unknown_items : int or None
        Interactions since the export, and those of items that the bundle does not know; None
        without such a file.
    exclude_pairs_rows, exclude_pairs_rows_of_unknown_items : int or None
        Pairs not to list, and those of items that the bundle does not know; None without such a
        file.
    refreshed_users : int or None
        Trained users whose rows moved along with their interactions; None if not asked for.
    candidates_unknown, exclude_items_unknown : int or None
        Ids that the bundle does not know; None without such a file.
    """

    unknown_users: int = 0
    cold_users: int | None = optional()
    seen_rows: int | None = optional()
    seen_rows_of_unknown_items: int | None = optional()
    exclude_pairs_rows: int | None = optional()
    exclude_pairs_rows_of_unknown_items: int | None = optional()
    refreshed_users: int | None = optional()
    candidates_unknown: int | None = optional()
    exclude_items_unknown: int | None = optional()


@dataclass(frozen=True)
class HostShare:
    """The parts that a machine made.

    Parameters
    ----------
    parts : str
        Numbers of the parts, such as ``"0-3,7"``.
    instruction_set : str
        Widest vector instructions of its processor, or ``"cuda"``.
    seconds : mapping
        Seconds by phase, summed over its parts.
    peak_memory_bytes : int
        Peak memory of a process.
    """

    parts: str
    instruction_set: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class RunManifest(FileCounts, Identity, Manifest):
    """The manifest of a run, ``_manifest.json``.

    Parameters
    ----------
    users, rows : int
        Counts of users and rows of the table.
    users_by_policy, rows_by_part : mapping
        Users by policy, and rows by name of the part.
    parts_reused : int
        Parts reused from a batch that died.
    users_per_second : float or None
        Speed of the ranking; None if parts were reused, or other processes made them.
    recall : RecallProof or None
        Recall that the audit has proven; None for exact ranking.
    decision : Decision or None
        How to rank was decided; None in runs of earlier versions.
    sequence : int
        Count of the runs published up to this one.
    plan : str or None
        Id of the plan; None in runs of earlier versions.
    seconds : mapping
        Seconds by phase.
    hosts : mapping or None
        Which machine made which parts; None in runs of earlier versions.
    peak_memory_bytes : int or None
        Peak memory of a process.
    since : Taken or None
        Lists that were taken over from an earlier run; None if none was named.
    """

    users: int
    rows: int
    users_by_policy: Mapping[str, int]
    rows_by_part: Mapping[str, int]
    parts_reused: int = 0
    users_per_second: float | None = optional()
    recall: RecallProof | None = optional()
    decision: Decision | None = optional()
    sequence: int = 0
    plan: str | None = optional()
    seconds: Mapping[str, float] = field(default_factory=dict)
    hosts: Mapping[str, HostShare] | None = optional()
    peak_memory_bytes: int | None = None
    since: Taken | None = optional()


def intact(content: bytes) -> Mapping[str, object]:
    """Decode a manifest of any version, whose bytes must agree with the digest it has of itself.

    Raises
    ------
    ValueError
        They do not, or are no manifest.
    """
    document = json.loads(content)
    if not isinstance(document, dict) or not is_intact(content, document):
        raise ValueError("the manifest differs from its own digest")
    return document


# Readers of a Parquet data set skip names that begin with "_" or ".": all but parts begin so.
RUN = Kind(
    "run",
    "_manifest.json",
    2,
    "make it with 'ncf batch'",
    RunManifest,
    r"part-\d+\.(parquet|csv)|_SUCCESS|_gates\.json|_report\.html|_users\.parq",
    former_manifest="manifest.json",
)
