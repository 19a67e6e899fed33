"""A plan of a batch: all that a worker or a committer must know, as pure data.

A plan can be read on any machine that reaches the output. Its id is the digest of everything that
may change the table, so that a part or a receipt of another plan is told apart.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from batch.manifest import Decision, FileCounts, Identity
from batch.options import Mode
from batch.rounds import Round
from batch.runs import RUN_NAME
from batch.shards import Shard
from batch.since_manifest import Taken
from batch.tables import Style
from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.records import json_values, optional, read_record

SHARED = ".ncf-batch"
"""Folder of what planners, workers and committers share, in the folder of all runs."""
PLAN_FILE = "_plan.json"
AUDIENCE_FILE = "audience.npz"
CARRIED_FILE = "carried.npz"
"""Lists to take over from an earlier run, if there are any."""
RECEIPTS, FOUND = "receipts", "found"
"""Folders in that of a plan: receipts, and what the rounds of each shard have found."""
_SHORT = 16  # hex digits of an id in the name of a folder


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan: what determines the table, then what does not.

    Parameters
    ----------
    asked : Identity
        What was asked for: everything that may change the bytes of a part.
    rounds : tuple of Round
        Ways to rank: rounds of screening and audit, as many as this is the try; none to rank
        exactly.
    audience : str
        SHA-256 of the file with the audience.
    users : int
        Size of the audience.
    run : str
        Name of the run; another try has another one.
    bundle : str
        Folder of the bundle where the plan was made, or its URI.
    files : mapping
        Files of users and items by option; they must be unchanged at the end.
    counts : FileCounts
        Counts of what these files hold.
    decision : Decision
        How to rank was decided.
    host : str
        Where the plan was made.
    seconds : float
        Seconds that reading took.
    before : str
        Folder of the try before this, with what its rounds have found; empty for none.
    earlier : tuple of str
        Names that earlier tries had for the run; nothing of theirs may be left at the end.
    since : Taken or None
        Lists that are taken over from an earlier run; the table is the same without.
    carried : str
        SHA-256 of the file with these lists; empty if there is none.
    """

    asked: Identity
    rounds: tuple[Round, ...] = ()
    audience: str
    users: int
    run: str
    bundle: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    counts: FileCounts = field(default_factory=FileCounts)
    decision: Decision = field(default_factory=lambda: Decision(Mode.EXACT, "asked for"))
    host: str = ""
    seconds: float = 0.0
    before: str = ""
    earlier: tuple[str, ...] = ()
    since: Taken | None = optional()
    carried: str = ""

    @property
    def identity(self) -> Identity:
        """What the manifest says: of a screened run, the width of its last round."""
        if self.rounds:
            return replace(self.asked, width=self.rounds[-1].width)
        return replace(self.asked, mode=Mode.EXACT, width=None, audit=None)

    @cached_property
    def id(self) -> str:
        """Digest of everything that may change the table, 64 hex digits."""
        determined = {
            "identity": json_values(self.identity),
            "rounds": [json_values(each) for each in self.rounds],
            "audience": self.audience,
            "users": self.users,
            "run": self.run,
        }
        return sha256_bytes(canonical_json(determined))

    @property
    def folder(self) -> str:
        """Name of the folder of this plan's unfinished parts and receipts."""
        return self.id[:_SHORT]

    @property
    def style(self) -> Style:
        """File format and layout of the parts."""
        return self.asked.parameters.style

    @property
    def shards(self) -> int:
        """Count of shards, each of which becomes a part."""
        return -(-self.users // self.asked.parameters.shard_users)

    def shard(self, number: int) -> Shard:
        """Find the users of a shard."""
        each = self.asked.parameters.shard_users
        return Shard(number, number * each, min((number + 1) * each, self.users))

    def part(self, number: int) -> str:
        """Name the file of a shard's part."""
        return self.style.part(number)

    def part_names(self) -> Iterator[str]:
        """Name all parts."""
        return map(self.part, range(self.shards))

    def content(self) -> bytes:
        """Write the plan, with its id and a digest of all."""
        return _sealed({**json_values(self), "id": self.id})


def read_plan(content: bytes, where: str | Path) -> Plan:
    """Read a plan, and check its digests.

    Raises
    ------
    ArtifactError
        It is damaged.
    """
    try:
        plan = read_record(Plan, json.loads(content))
        problem = "" if plan.content() == content else "its bytes differ from its own digest"
        if not all(re.fullmatch(RUN_NAME, name) for name in (plan.run, *plan.earlier)):
            problem = "it names no run"
    except (ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise ArtifactError(
            f"the plan is damaged ({problem})", where=where, remedy="plan the batch again"
        )
    return plan


def _sealed(document: Mapping[str, Any]) -> bytes:
    return canonical_json({**document, "digest": sha256_bytes(canonical_json(document))})
