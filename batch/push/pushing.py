"""Push a run to a target: what changed since the version that the target holds, or all of it."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from batch.push.changes import USERS_A_CHUNK, all_lists, changes
from batch.push.targets import Chunk, Push, Target, Version
from batch.reading import Published, held, published
from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError, InterruptedWorkError
from ncf.files import sha256_bytes
from ncf.progress import report
from ncf.version import __version__

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wishes:
    """How to push.

    Parameters
    ----------
    whole : bool
        Write all lists, whatever the target holds.
    swap : bool
        Write all lists anew, and put them in the place of the old ones in one step.
    dry_run : bool
        Count, and write nothing.
    rate : float
        Most users to write in a second; 0 for no limit.
    """

    whole: bool = False
    swap: bool = False
    dry_run: bool = False
    rate: float = 0.0


def push_run(run: Published, target: Target, wishes: Wishes) -> dict[str, Any]:
    """Make a target hold a run.

    Returns
    -------
    dict
        ``run``, ``target``, ``before`` (run that the target held), and users ``changed``,
        ``gone``, ``same``; ``pushed`` is false for a dry run, and where nothing was to do.

    Raises
    ------
    ArtifactError
        The run is damaged, or the target is not as the toolkit left it.
    LockedError
        Another push is going on.
    UnreachableError
        The target does not answer; the same command goes on.
    InterruptedWorkError
        Ctrl-C or SIGTERM came.
    """
    version = Version(run.name, run.manifest.digest, run.manifest.inputs["bundle"], 0, "")
    with held(run):
        if wishes.dry_run:
            return _pushed(run, target, wishes, version)
        with target.locked():
            return _pushed(run, target, wishes, version)


def _pushed(run: Published, target: Target, wishes: Wishes, version: Version) -> dict[str, Any]:
    there = target.held().now
    found = {"run": run.name, "target": target.where, "before": there.run if there else None}
    counts = {"changed": 0, "gone": 0, "same": 0}
    if there is not None and there.digest == version.digest and not wishes.whole:
        logger.info("%s holds run %s already", target.where, run.name)
        return {**found, **counts, "same": there.users, "pushed": False}
    base = None if wishes.whole or wishes.swap else _base(run, there)
    with _chunks(run, base) as chunks:
        counted = _counted(chunks, counts)
        if wishes.dry_run:
            with report("compare") as reporter:
                for chunk in counted:
                    reporter.advance(chunk.users)
            return {**found, **counts, "pushed": False}
        held_now = there if base is not None else None
        push = Push(_id(version, held_now, wishes), version, held_now, wishes.swap)
        _write(target, push, counted, run.manifest.users, wishes.rate)
        users, now = counts["changed"] + counts["same"], datetime.now(UTC)
        target.finish(replace(version, users=users, pushed=now.isoformat(timespec="seconds")))
    return {**found, **counts, "pushed": True}


def _write(target: Target, push: Push, chunks: Iterable[Chunk], users: int, rate: float) -> None:
    done, started, written = target.begin(push), time.monotonic(), 0
    if done:
        logger.info("going on after %d chunks that are written already", done)
    try:
        with report("push", users) as reporter:
            for chunk in chunks:
                if chunk.number >= done:
                    target.add(chunk)
                    written += chunk.changed.num_rows + len(chunk.gone)
                    if rate and (ahead := written / rate - (time.monotonic() - started)) > 0:
                        time.sleep(ahead)
                reporter.advance(chunk.users)
    except KeyboardInterrupt as error:
        raise InterruptedWorkError(
            "interrupted; readers see the old lists",
            where=target.where,
            remedy="the same command goes on",
        ) from error


def _base(run: Published, there: Version | None) -> Published | None:
    """Find the run that a target holds; None if it is gone, and all lists have to be written."""
    if there is None:
        return None
    try:
        found = published(run.runs, there.run)
    except ArtifactError:
        found = None
    if found is None or found.manifest.digest != there.digest:
        logger.warning("run %s, which the target holds, is not here: writing all lists", there.run)
        return None
    return found


@contextmanager
def _chunks(run: Published, base: Published | None) -> Iterator[Iterable[Chunk]]:
    if base is None:
        yield all_lists(run.source)
        return
    with held(base), changes(base.source, run.source) as found:
        yield found


def _counted(chunks: Iterable[Chunk], counts: dict[str, int]) -> Iterator[Chunk]:
    for chunk in chunks:
        counts["changed"] += chunk.changed.num_rows
        counts["gone"] += len(chunk.gone)
        counts["same"] += len(chunk.same)
        yield chunk


def _id(version: Version, base: Version | None, wishes: Wishes) -> str:
    facts = {
        "run": version.digest,
        "base": base.digest if base else "",
        "swap": wishes.swap,
        "chunk": USERS_A_CHUNK,
        "ncf": __version__,
    }
    return sha256_bytes(canonical_json(facts))[:12]


def status(target: Target, now: datetime) -> dict[str, Any]:
    """Say what a target holds.

    Returns
    -------
    dict
        ``target``, ``run``, ``model``, ``users``, ``pushed`` and ``age_hours`` of the version that
        readers see, and ``before``, the run to which a rollback goes.
    """
    found = target.held()
    if found.now is None:
        return {"target": target.where, "run": None}
    facts = {name: value for name, value in asdict(found.now).items() if name != "digest"}
    hours = (now - datetime.fromisoformat(found.now.pushed)).total_seconds() / 3600
    before = found.before.run if found.before else None
    return {"target": target.where, **facts, "age_hours": round(hours, 2), "before": before}


def roll_back(target: Target) -> dict[str, Any]:
    """Let readers of a target see the version before.

    Raises
    ------
    ArtifactError
        It is not held any more.
    LockedError
        A push is going on.
    """
    with target.locked():
        version = target.roll_back()
    return {"target": target.where, "run": version.run, "users": version.users}
