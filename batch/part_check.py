"""Read every part back before it is published, and compare it with its receipt."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

from batch.places import Place
from batch.plans import Plan
from batch.tally import Tally
from ncf.errors import ArtifactError

_AT_ONCE = 8  # parts hashed side by side
_BLOCK = 1 << 20


def require_parts(place: Place, plan: Plan, total: Tally) -> None:
    """Refuse parts that differ from their receipts.

    Raises
    ------
    ArtifactError
        A part is missing, torn or foreign; the message names it.
    """
    foreign = [name for name in place.part_names(plan) if name not in total.digests]
    if foreign:
        raise ArtifactError(
            "is no part of this plan",
            where=f"{place.runs.root}: {foreign[0]} among the parts of plan {plan.folder}",
            remedy="remove it",
        )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        numbers = range(plan.shards)
        for number, problem in enumerate(
            pool.map(lambda number: _problem(place, plan, plan.part(number), total), numbers)
        ):
            if problem:
                raise ArtifactError(
                    f"{plan.part(number)} {problem}",
                    where=f"{place.runs.root}, plan {plan.folder}",
                    remedy=f"do shard {number} again, then commit again",
                )


def _problem(place: Place, plan: Plan, part: str, total: Tally) -> str:
    """Say what is wrong with a part; empty if it is the one of its receipt."""
    digest, size = hashlib.sha256(), 0
    try:
        with place.open_part(plan, part) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        return "is missing, though it has a receipt"
    if size != total.sizes[part]:
        return f"has {size:,} bytes where its receipt says {total.sizes[part]:,}"
    return "" if digest.hexdigest() == total.digests[part] else "differs from its receipt's SHA-256"
