"""What a place must offer so that lists can be pushed to it, and how such a place is found.

A target holds one version of the lists, and may keep the one before. A push is ``begin``, ``add``
for chunk after chunk, ``finish``; until then readers see the old lists, and then the new ones.
Whoever dies in between is followed by the same push again.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol

import pyarrow as pa

from ncf.columns import Columns
from ncf.errors import UsageError, without_credentials
from ncf.extras import needed_by

LISTS = pa.schema(
    [
        pa.field(Columns.USER_ID, pa.string(), nullable=False),
        pa.field(Columns.ITEM_IDS, pa.list_(pa.string()), nullable=False),
        pa.field(Columns.SCORES, pa.list_(pa.float32())),  # null where the policy is "popular"
        pa.field(Columns.POLICY, pa.string(), nullable=False),
    ]
)
"""Columns of lists: a row a user."""
GROUP = "ncf.targets"
"""Entry points of other targets, by the scheme of their URIs."""
_OURS = {
    "postgresql": ("batch.push.postgres", "Postgres"),
    "postgres": ("batch.push.postgres", "Postgres"),
    "redis": ("batch.push.keyvalue", "KeyValue"),
    "rediss": ("batch.push.keyvalue", "KeyValue"),
    "valkey": ("batch.push.keyvalue", "KeyValue"),
    "valkeys": ("batch.push.keyvalue", "KeyValue"),
    "delta": ("batch.push.delta", "Delta"),
    "delta+s3": ("batch.push.delta", "Delta"),
    "delta+gs": ("batch.push.delta", "Delta"),
    "delta+az": ("batch.push.delta", "Delta"),
}


@dataclass(frozen=True)
class Version:
    """A version of the lists.

    Parameters
    ----------
    run : str
        Name of the run.
    digest : str
        Digest of the run's manifest, 64 hex digits.
    model : str
        Digest of the bundle.
    users : int
        Users with a list of at least one item.
    pushed : str
        When it was pushed: UTC, as ISO 8601.
    """

    run: str
    digest: str
    model: str
    users: int
    pushed: str


@dataclass(frozen=True)
class Held:
    """What a target holds.

    Parameters
    ----------
    now, before : Version or None
        What readers see, and the version to which a rollback goes; None if there is none.
    """

    now: Version | None = None
    before: Version | None = None


@dataclass(frozen=True)
class Chunk:
    """Some users of a push; every user is in one chunk alone.

    Parameters
    ----------
    number : int
        Number of the chunk, from 0; the same in the same push again.
    changed : pyarrow.Table
        Lists to write, with the columns of :data:`LISTS`.
    gone : pyarrow.Array of strings
        Users who leave.
    same : pyarrow.Array of strings
        Users whose lists stay as they are.
    """

    number: int
    changed: pa.Table
    gone: pa.Array
    same: pa.Array

    @property
    def users(self) -> int:
        """Count of users."""
        return int(self.changed.num_rows) + len(self.gone) + len(self.same)


@dataclass(frozen=True)
class Push:
    """What a target is asked to hold, and from what it starts.

    Parameters
    ----------
    id : str
        The same for the same push: of the same run, from the same version, in the same way.
    version : Version
        What the target shall hold; its users are not counted yet.
    base : Version or None
        The version that the chunks are changes of. None if they hold all lists: then a user who
        is in no chunk leaves.
    swap : bool
        Whether to write all anew and put it in the place of the old lists in one step.
    """

    id: str
    version: Version
    base: Version | None
    swap: bool


class Target(Protocol):
    """A place to which lists are pushed."""

    where: str
    """Its URI without credentials."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other pushes out, and finish what a dead one has left; LockedError if one runs."""

    def held(self) -> Held:
        """Say what readers see."""

    def begin(self, push: Push) -> int:
        """Prepare a push; give the number of its chunks that are written already."""

    def add(self, chunk: Chunk) -> None:
        """Write a chunk, where no reader sees it."""

    def finish(self, version: Version) -> None:
        """Let readers see what was written: the version of the push, with its users and time."""

    def roll_back(self) -> Version:
        """Let readers see the version before; ArtifactError if it is not held any more."""

    def read(self, users: Sequence[str]) -> pa.Table:
        """Read lists as readers do, with the columns of :data:`LISTS`; without absent users."""

    def count(self) -> int:
        """Count the users who have a list."""

    def forget(self, user: str) -> bool:
        """Remove a user from all that is kept here; whether there was anything."""

    def close(self) -> None:
        """Let go of connections and files; what was not finished is as if nobody had pushed."""


def open_target(uri: str, password: str | None = None) -> Target:
    """Open a target by its URI.

    Parameters
    ----------
    uri : str
        ``postgresql://…``, ``redis://…``, ``delta:///…``, or of a scheme that an installed package
        declares as an entry point of the group ``ncf.targets``: called with the URI and
        ``password=``, it gives a :class:`Target`.
    password : str, optional
        Password, if it is not in the environment or a file that the client reads by itself.

    Raises
    ------
    UsageError
        The scheme is unknown.
    CapabilityError
        A package of an extra is not installed.
    UnreachableError
        It does not answer.
    """
    scheme = uri.partition("://")[0]
    if scheme in _OURS and "://" in uri:
        module, name = _OURS[scheme]
        with needed_by(f"a push to {scheme}://"):
            target: Target = getattr(import_module(module), name).open(uri, password)
        return target
    for entry in entry_points(group=GROUP):
        if entry.name == scheme and "://" in uri:
            made: Target = entry.load()(uri, password=password)
            return made
    known = ", ".join(f"{name}://" for name in ("postgresql", "redis", "valkey", "delta"))
    raise UsageError(
        f"{without_credentials(uri)!r} is no target that is known here",
        remedy=f"give one of {known}, or install a package that knows it",
    )
