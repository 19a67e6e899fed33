"""Read the inputs of a batch, a bundle and files, and check that they stay unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batch.audience import Audience, audience_of
from batch.bundles import is_same, opened, require_bundle_place
from batch.job import Job
from batch.plans import Plan
from batch.selection import Selection, read_selection
from ncf.data.origins import digest_of
from ncf.errors import ArtifactError, UsageError
from ncf.scoring.bundle import Bundle


@dataclass(frozen=True)
class Inputs:
    """The inputs of a batch.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    selection : Selection
        What the files select, by index.
    audience : Audience
        Users, their excluded items and the eligible items.
    digests : mapping
        SHA-256 of the files by the names of their options, and the digest of the bundle.
    """

    bundle: Bundle
    selection: Selection
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
    require_bundle_place(job.bundle)
    bundle = opened(job.bundle)
    selection = read_selection(bundle, job.filters)
    audience = audience_of(bundle, selection)
    return Inputs(bundle, selection, audience, {"bundle": bundle.digest, **files})


def require_unchanged(plan: Plan, bundle: str | Path | None = None) -> None:
    """Refuse to publish if an input has changed since the plan was made.

    Parameters
    ----------
    plan : Plan
        Names the bundle and the files of users and items.
    bundle : str or Path, optional
        Folder of the bundle on this machine, if it is not that of the plan.

    Raises
    ------
    ArtifactError
        An input has changed; the message names it.
    """
    digests, where = plan.asked.inputs, bundle or plan.bundle
    for name, path in plan.files.items():
        if not Path(path).exists() or digest_of(Path(path)) != digests[name]:
            raise _changed(path)
    if not is_same(where, digests["bundle"]):
        raise _changed(where)


def _changed(where: str | Path) -> ArtifactError:
    return ArtifactError(
        "changed during the run; nothing was published", where=where, remedy="run the batch again"
    )


def _digest(name: str, path: Path) -> str:
    if not path.is_file() and not (path.is_dir() and any(path.iterdir())):
        raise UsageError(f"no such file, for `{name}`", where=path, remedy="check the path")
    return digest_of(path)
