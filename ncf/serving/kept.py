"""Keep the files of the bundles that answer open, for workers that start when the folder is bad."""

import contextlib
import logging
import os
import shutil
from pathlib import Path

from ncf.artifacts import read_manifest
from ncf.errors import NcfError
from ncf.scoring.manifest import BUNDLE

logger = logging.getLogger(__name__)

_OPEN_FILES = "/proc/{process}/fd/{file}"


class Kept:
    """The last bundle of each name that a worker has verified and answers with.

    An open file outlives its name: what takes its place in the folder, or removes it, leaves it as
    it was. So nothing is copied, and workers share its pages as before. A worker finds a bundle as
    a folder of links to the files that this process has open, and verifies it as any other.
    Without ``/proc`` (macOS) nothing is kept.

    Parameters
    ----------
    scratch : Path or None
        Folder for the links; None keeps nothing.
    """

    def __init__(self, scratch: Path | None) -> None:
        self._scratch = scratch
        self._kept: dict[str, tuple[str, Path, contextlib.ExitStack]] = {}

    def folders(self) -> dict[str, str]:
        """Folders of the bundles that are kept, by the name of the model."""
        return {name: str(folder) for name, (_, folder, _) in self._kept.items()}

    def keep(self, name: str, folder: Path, digest: str) -> None:
        """Keep the bundle of a folder if it has this digest; else keep what was kept before."""
        before = self._kept.get(name)
        if self._scratch is None or (before is not None and before[0] == digest):
            return
        links = self._scratch / f"{name}-{digest}"
        with contextlib.ExitStack() as opened:
            opened.callback(shutil.rmtree, links, ignore_errors=True)
            try:
                found = _link(folder, links, opened)
            except (OSError, NcfError):
                logger.debug("%s: not kept", name, exc_info=True)
                return
            if found != digest:  # it was replaced meanwhile; its worker will tell
                return
            self._kept[name] = (digest, links, opened.pop_all())
            if before is not None:
                before[2].close()

    def close(self) -> None:
        """Close all files."""
        for _, _, opened in self._kept.values():
            opened.close()
        self._kept.clear()


def _link(folder: Path, links: Path, opened: contextlib.ExitStack) -> str:
    """Open every file of a bundle and link to it; gives the digest that the manifest records."""
    here = _open(folder, opened)  # still this folder if another takes its name meanwhile
    manifest = read_manifest(here, BUNDLE)
    for name in (BUNDLE.manifest_of(here).name, *manifest.files):
        (links / name).parent.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to(_open(here / name, opened))
    return manifest.digest


def _open(path: Path, opened: contextlib.ExitStack) -> Path:
    file = os.open(path, os.O_RDONLY)
    opened.callback(os.close, file)
    return Path(_OPEN_FILES.format(process=os.getpid(), file=file))
