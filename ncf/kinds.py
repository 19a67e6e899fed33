"""Kinds of sealed folders: how their manifest is called, and what every manifest has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The fields that the manifest of every sealed folder has.

    Parameters
    ----------
    digest : str
        SHA-256 of the manifest without this field, 64 hex digits; empty until it is sealed.
    files : mapping
        SHA-256 of every other file, by its path in the folder.
    """

    digest: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


M_co = TypeVar("M_co", bound=Manifest, covariant=True)


@dataclass(frozen=True)
class Kind(Generic[M_co]):
    """A kind of sealed folder: its manifest and its files.

    Parameters
    ----------
    noun : str
        Word that messages use, such as ``"checkpoint"``.
    manifest : str
        Name of the manifest file.
    schema_version : int
        Version that this toolkit writes, and the only one that it reads.
    remedy : str
        Command that makes such a folder.
    form : type
        Type of the manifest.
    members : str
        Regular expression of the files that the folder may hold: a folder with an unreadable
        manifest is replaced only if it holds nothing else.
    former_manifest : str
        Name of the manifest in folders of earlier versions, which stay readable; empty for none.
    """

    noun: str
    manifest: str
    schema_version: int
    remedy: str
    form: type[M_co]
    members: str = ""
    former_manifest: str = ""

    @property
    def manifests(self) -> tuple[str, ...]:
        """Names that the manifest may have, the present one first."""
        return tuple(name for name in (self.manifest, self.former_manifest) if name)

    def manifest_of(self, folder: Path) -> Path:
        """Find the manifest of a folder, or where it should be."""
        paths = [folder / name for name in self.manifests]
        return next((path for path in paths if path.is_file()), paths[0])
