"""Find which lists of an earlier run a batch may take over: those that ranking would give again.

A list depends on the bundle, the user's row, the items that may be listed, and the items that are
excluded for this user. Where the first is the same, ``_users.parq`` tells who changed.
"""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.audience import Audience
from batch.carried import Carried
from batch.codes import ItemCodes, coded_lists, padded
from batch.inputs import Inputs
from batch.job import Job
from batch.manifest import Identity
from batch.options import Mode
from batch.places import Place
from batch.plans import CARRIED_FILE, Plan
from batch.reading import Published, checked, find_run, newest
from batch.receipts import instruction_set
from batch.runs import USERS_FILE, open_runs
from batch.since_manifest import Taken
from batch.stores import storage_access
from batch.user_digests import UserDigests, digests_of, read_users
from ncf.data.id_files import find
from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.files import sha256_bytes
from ncf.identifiers import IdMap
from ncf.pairs import among
from ncf.policies import Policy
from ncf.scoring.ranker import Users

logger = logging.getLogger(__name__)

LATEST = "latest"
"""What ``since`` calls the run that LATEST names, if there is one."""
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Earlier:
    """The run that a batch was told to take lists over from.

    Parameters
    ----------
    run : Published or None
        The run; None if nothing was published yet.
    reason : str
        Why none of its lists can be taken over; empty if some may be.
    """

    run: Published | None
    reason: str = ""

    @property
    def mode(self) -> Mode | None:
        """How its lists were ranked, which this batch does too; None if they are of no use."""
        return None if self.reason or self.run is None else self.run.manifest.mode

    def taken(self, audience: Audience, plan: Plan) -> tuple[Taken, bytes]:
        """Collect the lists to take over, and say how many there are; no bytes if none.

        Damage to the earlier run is no error: its users are ranked again.
        """
        run, reason, carried = self.run, self.reason, None
        if run is not None and not reason:
            reason = _another_way(run, plan.identity)
        if run is not None and not reason:
            try:
                carried, reason = _carried(run, audience, plan)
            except ArtifactError as error:
                reason = f"it cannot be read: {error}"
        name = "" if run is None else run.name
        count = 0 if carried is None else carried.users.size
        if reason:
            logger.warning("ranking all users, as of run %s: %s", name or LATEST, reason)
        else:
            shown = f"{count:,}", f"{audience.n_ranked - count:,}"
            logger.info("taking over %s lists of run %s, ranking %s", shown[0], name, shown[1])
        taken = Taken(name, count, audience.n_ranked - count, reason, instruction_set())
        return taken, b"" if carried is None else carried.content()


def earlier_run(job: Job, audience: Audience, device: Device) -> Earlier | None:
    """Find the run that a job was told to take lists over from; None if it was not.

    Raises
    ------
    ArtifactError
        There is no such run. For ``latest``, or the output itself, there need be none.
    """
    if job.since is None:
        return None
    if job.since in {LATEST, str(job.out)}:
        run = newest(open_runs(job.out))
        if run is None:
            return Earlier(None, "nothing was published yet")
    else:
        run = find_run(job.since, job.out)
    return Earlier(run, _reason(run, job, audience, device))


class _Reads(Protocol):
    """What a plan is made of."""

    @property
    def inputs(self) -> Inputs:
        """The bundle and the files."""

    @property
    def earlier(self) -> Earlier | None:
        """The run to take lists over from."""


def take_over(prepared: _Reads, place: Place, plan: Plan) -> Plan:
    """Write the lists that a plan takes over beside it, and make the plan say so."""
    since, content = None, b""
    if prepared.earlier is not None:
        since, content = prepared.earlier.taken(prepared.inputs.audience, plan)
    if content:
        place.write(CARRIED_FILE, content)
    else:
        place.delete(CARRIED_FILE)
    return replace(plan, since=since, carried=sha256_bytes(content) if content else "")


def _reason(run: Published, job: Job, audience: Audience, device: Device) -> str:
    """Say why no list of a run can be taken over, as far as its manifest tells."""
    manifest = run.manifest
    if manifest.inputs.get("bundle") != audience.bundle.digest:
        return "it was made with another bundle"
    if manifest.parameters.k != job.k:
        return f"its lists are of {manifest.parameters.k} items"
    if Device.CUDA.value in {device.value, manifest.device}:
        return "on a GPU the last bits of a score may depend on the block of users"
    if USERS_FILE not in manifest.files:
        return f"it has no {USERS_FILE}, as it is of an earlier version"
    kinds = {host.instruction_set for host in (manifest.hosts or {}).values()}
    if kinds != {instruction_set()}:
        return "it was made on another kind of processor"
    return ""


def _another_way(run: Published, now: Identity) -> str:
    """Say why lists that were ranked in another way than a plan's are not those of the plan."""
    before = run.manifest
    for name in ("ncf", "onnxruntime", "parts_version", "device"):
        if (old := getattr(before, name)) != (new := getattr(now, name)):
            return f"its {name} is {old}, here it is {new}"
    if before.mode is not now.mode:
        return f"its mode is {before.mode.value}, here it is {now.mode.value}"
    if before.mode is Mode.SCREENED and before.width != 1:
        return "its screen was widened to prove its recall"
    return ""


def _carried(run: Published, audience: Audience, plan: Plan) -> tuple[Carried | None, str]:
    """Collect the lists to take over, or say why there is none."""
    known = _users_of(run)
    before, now = known.items, audience.eligibility.items
    if before.shape != now.shape or (now & ~before).any():
        return None, "items may be listed now that were not allowed then"
    if plan.rounds and (before != now).any():
        return None, "items were withdrawn, which may move any screened list"
    same = _unchanged(known, audience)
    width = min(plan.asked.parameters.k, audience.bundle.n_items)
    items = np.zeros((same.size, width), np.int32)
    scores = np.full(items.shape, -np.inf, np.float32)
    codes, kept = ItemCodes(), np.ones(same.size, np.bool_)
    for table in run.source.tables():
        lists = coded_lists(table, run.manifest.parameters.style, codes)
        users = _indices(audience, lists["user"])
        mine = np.flatnonzero(among(users, same))
        at = np.searchsorted(same, users[mine])
        some = lists.take(pa.array(mine))
        index = np.append(audience.bundle.items.indices(codes.raw), -1)
        listed = index[padded(some["items"], width, pad=-1).astype(np.int64)]
        found = padded(some["scores"], width, pad=-np.inf).astype(np.float32)
        valid = np.isfinite(found)
        kept[at] = ~(valid & ((listed < 0) | ~now[listed])).any(axis=1)
        items[at], scores[at] = np.where(valid, listed, 0), found
    return Carried(same[kept], items[kept], scores[kept]), ""


def _users_of(run: Published) -> UserDigests:
    path = f"{run.place}/{USERS_FILE}"
    try:
        with storage_access(path), run.runs.system.open_input_stream(path) as stream:
            return read_users(checked(stream, USERS_FILE, run.manifest.files[USERS_FILE]))
    except (ValueError, FileNotFoundError) as error:
        raise ArtifactError(str(error), where=path, remedy="run the batch again") from error


def _unchanged(known: UserDigests, audience: Audience) -> Users:
    """Find the ranked users with the same policy and the same digest as then, ascending."""
    found = [np.empty(0, np.int64)]
    order = np.argsort(then := _indices(audience, known.users))
    then = then[order]
    for start in range(0, audience.n_ranked, _AT_ONCE):
        stop = min(start + _AT_ONCE, audience.n_ranked)
        users = audience.ranked(start, stop)
        policies = np.array(audience.policies(start, stop), object)
        there = np.flatnonzero(among(users, then))
        rows = pa.array(order[np.searchsorted(then, users[there])])
        digests = pa.array(digests_of(audience, users[there]), pa.binary(16))
        names = pa.array([Policy(each).value for each in policies[there]], pa.string())
        same = pc.equal(known.policies.take(rows), names)
        same = pc.and_(same, _equal(known.digests.take(rows), digests))
        found.append(users[there][same.to_numpy()])
    return np.sort(np.concatenate(found))


def _equal(first: pa.ChunkedArray, second: pa.Array) -> pa.ChunkedArray:
    """Compare values, where two that are missing are equal too."""
    none = pa.scalar(bytes(16), pa.binary(16))
    return pc.equal(first.fill_null(none), second.fill_null(none))


def _indices(audience: Audience, raw: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Look up the index of each raw id in an audience; -1 for those it does not have."""
    texts = raw.combine_chunks()
    texts = texts if isinstance(texts, pa.Array) else pa.concat_arrays(texts.chunks)
    found = find(audience.bundle.users, texts)
    if len(audience.unknown) and (found < 0).any():
        missing = np.flatnonzero(found < 0)
        place = find(IdMap(audience.unknown), texts.take(pa.array(missing)))
        found[missing] = np.where(place < 0, -1, audience.bundle.n_users + place)
    return found
