"""Read the receipts of a plan, refuse what does not fit, and add up the rest in shard order."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from batch.manifest import HostShare
from batch.places import Place, receipts_of
from batch.plans import RECEIPTS, SHARED, Plan
from batch.receipts import Receipt, part_of
from ncf.errors import ArtifactError
from ncf.proof.recall import PairSample

_AT_ONCE = 16  # files read side by side: an object store answers late, but many at a time


@dataclass
class Tally:
    """The totals over the receipts of all parts.

    Parameters
    ----------
    digests : dict
        SHA-256 by part.
    sizes : dict
        Bytes by part.
    rows : dict
        Rows by part.
    users : Counter
        Users by policy.
    seconds : Counter
        Seconds by phase.
    audited : PairSample
        Sums of the audit.
    peak_memory_bytes : int
        Peak memory of a process.
    """

    digests: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    users: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    audited: PairSample = field(default_factory=PairSample)
    peak_memory_bytes: int = 0
    _hosts: dict[str, "_Host"] = field(default_factory=dict)

    def add(self, receipt: Receipt) -> None:
        """Add a receipt."""
        part = receipt.part
        self.digests[part], self.sizes[part] = receipt.sha256, receipt.size
        self.rows[part] = receipt.rows
        self.users.update(receipt.users)
        self.seconds.update(receipt.seconds)
        if receipt.sample is not None:
            self.audited += receipt.sample
        self.peak_memory_bytes = max(self.peak_memory_bytes, receipt.peak_memory_bytes)
        host = self._hosts.setdefault(receipt.host, _Host(receipt.instruction_set))
        host.shards.append(receipt.shard)
        host.seconds.update(receipt.seconds)
        host.peak_memory_bytes = max(host.peak_memory_bytes, receipt.peak_memory_bytes)

    def hosts(self) -> dict[str, HostShare]:
        """Say which machine made which parts."""
        return {
            name: HostShare(
                parts=",".join(ranges(host.shards)),
                instruction_set=host.instruction_set,
                seconds={phase: round(value, 3) for phase, value in host.seconds.items()},
                peak_memory_bytes=host.peak_memory_bytes,
            )
            for name, host in self._hosts.items()
        }


@dataclass
class _Host:
    instruction_set: str
    shards: list[int] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    peak_memory_bytes: int = 0


def tally(place: Place, plan: Plan) -> Tally:
    """Add up the receipts of a plan.

    Raises
    ------
    ArtifactError
        A receipt is missing, torn, of another plan, or disagrees with another one on the same
        part; the message names it.
    """
    by_part = _files_by_part(place, plan)
    missing = [number for number in range(plan.shards) if plan.part(number) not in by_part]
    if missing:
        raise _missing(place, plan, missing)
    total = Tally()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        numbers = range(plan.shards)
        for found in pool.map(
            lambda number: receipts_of(place, plan, by_part[plan.part(number)], number), numbers
        ):
            if len(found) > 1:
                first, other, *_ = found
                raise ArtifactError(
                    f"{first.part} was made twice, with other bytes (on {first.host}, "
                    f"{first.instruction_set}, and on {other.host}, {other.instruction_set})",
                    where=place.runs.root,
                    remedy=f"do shard {first.shard} again, on machines of one kind",
                )
            total.add(found[0])
    return total


def receipts_so_far(place: Place, plan: Plan) -> dict[int, Receipt]:
    """Read the receipts that are there, by shard; those that do not fit are left out."""
    shards = {plan.part(number): number for number in range(plan.shards)}
    found: dict[int, Receipt] = {}
    for file in place.names(f"{plan.folder}/{RECEIPTS}"):
        if (number := shards.get(part_of(file))) is not None:
            with suppress(ArtifactError, FileNotFoundError):
                (found[number],) = receipts_of(place, plan, [file], number)
    return found


def ranges(numbers: list[int]) -> Iterator[str]:
    """Write ascending numbers as ranges.

    Examples
    --------
    >>> ",".join(ranges([0, 1, 2, 5]))
    '0-2,5'
    """
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            first, last = numbers[start], numbers[place - 1]
            yield str(first) if first == last else f"{first}-{last}"
            start = place


def _files_by_part(place: Place, plan: Plan) -> dict[str, list[str]]:
    folder, parts = f"{plan.folder}/{RECEIPTS}", set(plan.part_names())
    found: dict[str, list[str]] = {}
    for file in place.names(folder):
        if file.startswith("."):
            continue  # of a writer that died, or is late
        if (part := part_of(file)) not in parts:
            raise ArtifactError(
                "is no receipt of this plan",
                where=f"{place.runs.root}/{SHARED}/{folder}/{file}",
                remedy="remove it",
            )
        found.setdefault(part, []).append(file)
    return found


def _missing(place: Place, plan: Plan, missing: list[int]) -> ArtifactError:
    shards = ",".join(list(ranges(missing))[:20])
    return ArtifactError(
        f"{plan.part(missing[0])} has no receipt ({len(missing)} of {plan.shards} parts have none)",
        where=f"{place.runs.root}, plan {plan.folder}",
        remedy=f"do these shards, then commit again: {shards}",
    )
