"""Write and read receipts: what is known of a part, written once the part is in place."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from batch.plans import Plan
from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.proof.recall import PairSample
from ncf.records import KEY, json_values, optional, read_record

_SHORT = 16  # hex digits of a part's digest in the name of its receipt


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What is known of a part.

    Parameters
    ----------
    plan : str
        Id of the plan.
    shard : int
        Number of the shard.
    part : str
        Name of the part.
    sha256 : str
        Digest of the part.
    size : int
        Bytes of the part; ``bytes`` in JSON.
    rows : int
        Count of rows.
    users : mapping
        Count of users by policy.
    sample : PairSample or None
        Sums of the audit after the last round of :mod:`batch.rounds`; None for exact ranking.
    seconds : mapping
        Seconds that scoring, the audit and writing took.
    host : str
        Machine that made the part.
    instruction_set : str
        Widest vector instructions of its processor, or its GPU's kind: where these differ, so
        may the last bits of a score.
    peak_memory_bytes : int
        Peak memory of the process until then.
    """

    plan: str
    shard: int
    part: str
    sha256: str
    size: int = field(metadata={KEY: "bytes"})
    rows: int
    users: Mapping[str, int]
    sample: PairSample | None = optional()
    seconds: Mapping[str, float] = field(default_factory=dict)
    host: str = ""
    instruction_set: str = ""
    peak_memory_bytes: int = 0

    @property
    def file(self) -> str:
        """Name of its file: equal parts have one receipt, parts that disagree have two."""
        return f"{self.part}.{self.sha256[:_SHORT]}.json"

    def content(self) -> bytes:
        """Write it, with a digest of itself."""
        document = json_values(self)
        return canonical_json({**document, "digest": sha256_bytes(canonical_json(document))})


def read_receipt(content: bytes, plan: Plan, number: int, where: str) -> Receipt:
    """Read the receipt of a shard, and check that it belongs to the plan.

    Raises
    ------
    ArtifactError
        It is torn, or of another plan or shard.
    """
    try:
        receipt = read_record(Receipt, json.loads(content))
        torn = receipt.content() != content
    except (ValueError, TypeError, RecursionError):
        torn = True
    again = f"remove it, and do shard {number} again"
    if torn:
        raise ArtifactError("the receipt is torn", where=where, remedy=again)
    if (receipt.plan, receipt.shard, receipt.part) != (plan.id, number, plan.part(number)):
        raise ArtifactError(
            f"the receipt is of another plan or shard ({receipt.plan[:_SHORT]}, {receipt.shard})",
            where=where,
            remedy=again,
        )
    return receipt


def part_of(file: str) -> str:
    """Name the part of which a file name is the receipt; empty if it is none."""
    part, _, end = file.rpartition(".json")
    part, _, digest = part.rpartition(".")
    return part if not end and len(digest) == _SHORT else ""


@cache
def instruction_set() -> str:
    """Find the widest vector instructions of this processor, such as ``x86_64 avx512f``."""
    machine = platform.machine()
    found = _cpu_flags()
    widest = next((name for name in _WIDEST if name in found), "")
    return f"{machine} {widest}".strip()


_WIDEST = ("amx_tile", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "avx", "sve2", "sve", "asimd")


def _cpu_flags() -> set[str]:
    """Read what Linux says of the first processor; nothing on other systems."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - may be huge
            for line in file:
                name, _, flags = line.partition(":")
                if name.strip().lower() in {"flags", "features"}:
                    return set(flags.split())
    except OSError:
        pass
    return set()
