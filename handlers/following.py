"""Follow the folder of one model: open what is new beside what answers, and switch in one step."""

import logging
from dataclasses import dataclass
from pathlib import Path

from handlers.service import Service
from ncf.scoring.manifest import BUNDLE

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Change:
    """What following a folder came to.

    Parameters
    ----------
    model : str
        Name of the model.
    digest : str
        Short digest of the bundle that answers now.
    refused : str or None
        Why the bundle in the folder is not the one that answers.
    """

    model: str
    digest: str
    refused: str | None = None


class Model:
    """One name, its folder, and the service that answers for it now.

    Parameters
    ----------
    name : str
        Name of the model.
    folder : Path
        Folder that is followed.
    lanes : int
        Calls of a graph that may run side by side.
    kept : Path, optional
        Bundle to answer with if that of the folder cannot.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or its answers differ from those at export.
    """

    def __init__(self, name: str, folder: Path, lanes: int = 1, kept: Path | None = None) -> None:
        self.name = name
        self._folder = folder
        self._lanes = lanes
        self._stamp = self._look()
        self._tried: _Stamp | None = None
        try:
            self.service = Service(folder, lanes, name)
        except Exception as error:
            if kept is None:
                raise
            self.service = Service(kept, lanes, name)
            self._stamp, self._tried = None, self._stamp
            logger.warning("%s: refused: %s; %s answers on", name, error, self.service.model)

    def follow(self, *, again: bool = False) -> tuple[Change | None, Service | None]:
        """Open what is new in the folder and switch to it; keep the old one where that fails.

        Parameters
        ----------
        again : bool
            Also try a bundle that was refused before, and tell even if nothing has changed.

        Returns
        -------
        Change or None, Service or None
            What has happened, and the service to close.
        """
        same = Change(self.name, self.service.model) if again else None
        stamp = self._look()
        if stamp in {self._stamp, None} or (stamp == self._tried and not again):
            missing = Change(self.name, self.service.model, "bundle.json is missing")
            return (missing if stamp is None and again else same), None
        try:
            service = Service(self._folder, self._lanes, self.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old bundle answers on
            if self._look() != stamp:
                return same, None  # it was replaced meanwhile: the next look will tell
            self._tried = stamp
            logger.warning("%s: refused: %s", self.name, error)
            return Change(self.name, self.service.model, str(error)), None
        self._stamp, self._tried = stamp, None
        if service.digest == self.service.digest:
            service.close()
            return same, None
        logger.info("%s: %s answers instead of %s", self.name, service.model, self.service.model)
        before, self.service = self.service, service
        return Change(self.name, service.model), before

    def _look(self) -> _Stamp | None:
        """Tell versions of the folder apart without reading it; None where no manifest is."""
        try:
            found = (self._folder / BUNDLE.manifest).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
