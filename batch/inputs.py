"""Read the inputs of a batch, a bundle and files, and check that they stay unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batch.audience import Audience, read_audience
from batch.filters import Filters
from batch.job import Job
from ncf.artifacts import open_sealed
from ncf.data.origins import digest_of
from ncf.errors import ArtifactError, UsageError
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE


@dataclass(frozen=True)
class Inputs:
    """The inputs of a batch.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    filters : Filters
        The files of users and items.
    audience : Audience
        Users, their excluded items and the eligible items.
    digests : mapping
        SHA-256 of the files by the names of their options, and the digest of the bundle.
    """

    bundle: Bundle
    filters: Filters
    audience: Audience
    digests: Mapping[str, str]


def read_inputs(job: Job) -> Inputs:
    """Read all inputs of a batch.

    Raises
    ------
    ArtifactError
        The bundle is damaged.
    RatingsError
        A file of users or items cannot be read.
    UsageError
        A file is missing, or no user or no item is left.
    """
    files = {name: _digest(name, path) for name, path in job.filters.files().items()}
    bundle = open_bundle(job.bundle)
    audience = read_audience(bundle, job.filters)
    return Inputs(bundle, job.filters, audience, {"bundle": bundle.digest, **files})


def require_unchanged(inputs: Inputs) -> None:
    """Refuse to publish if an input has changed since it was read.

    Raises
    ------
    ArtifactError
        An input has changed; the message names it.
    """
    changed = [
        path
        for name, path in inputs.filters.files().items()
        if _digest(name, path) != inputs.digests[name]
    ]
    bundle = inputs.bundle
    if changed or open_sealed(bundle.path, BUNDLE).digest != bundle.digest:
        raise ArtifactError(
            "changed during the run; nothing was published",
            where=changed[0] if changed else bundle.path,
            remedy="run the batch again",
        )


def _digest(name: str, path: Path) -> str:
    if not path.is_file() and not (path.is_dir() and any(path.iterdir())):
        raise UsageError(f"no such file, for `{name}`", where=path, remedy="check the path")
    return digest_of(path)
