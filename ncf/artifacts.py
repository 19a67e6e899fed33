"""Write and check sealed folders: a manifest has the SHA-256 of every other file and of itself.

Prepared data, checkpoints, bundles and runs are all sealed folders. A reader opens one with
:func:`open_sealed`, which names any file that is missing, extra, damaged or too new before the
folder is used, and returns the manifest as the type of its :class:`Kind`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from ncf.errors import ArtifactError, StorageError
from ncf.files import atomic_folder, check_target, sha256, sha256_bytes
from ncf.records import FieldError, read_record

_DIGEST = "digest"
_FILES = "files"
_SCHEMA = "schema_version"


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
    """

    noun: str
    manifest: str
    schema_version: int
    remedy: str
    form: type[M_co]
    members: str = ""


@contextmanager
def sealed_folder(
    target: Path, kind: Kind[Manifest], before_swap: Callable[[], object] | None = None
) -> Iterator[Path]:
    """Make a temporary folder, which the block fills and seals; then swap it in, in one step.

    Raises
    ------
    StorageError
        ``target`` holds something that is not of this kind, or cannot be written.
    """
    require_replaceable(target, kind)
    with atomic_folder(target, before_swap) as folder:
        yield folder


def require_replaceable(target: Path, kind: Kind[Manifest]) -> None:
    """Refuse to replace anything but an older folder of the same kind.

    Raises
    ------
    StorageError
        ``target`` is a file, or holds files that no such folder has.
    """
    check_target(target)
    if not target.exists() and not target.is_symlink():
        return
    foreign = "a file" if not target.is_dir() or target.is_symlink() else _foreign(target, kind)
    if foreign:
        raise StorageError(
            f"would be replaced, and holds {foreign}, which is not part of a {kind.noun}",
            where=target,
            remedy="choose another output folder",
        )


def seal(folder: Path, kind: Kind[Manifest], document: Mapping[str, object]) -> str:
    """Write the manifest of a finished folder.

    Parameters
    ----------
    folder : Path
        Holds every other file, complete.
    kind : Kind
        Gives the name and the schema version of the manifest.
    document : mapping
        Fields of the manifest besides digests, as JSON values; see
        :func:`ncf.records.json_values`.

    Returns
    -------
    str
        The folder's digest: SHA-256 of the manifest's content, 64 hex digits.
    """
    files = {name: sha256(folder / name) for name in sorted(_names(folder) - {kind.manifest})}
    content = {key: value for key, value in document.items() if key != _DIGEST}
    sealed = {**content, _SCHEMA: kind.schema_version, _FILES: files}
    digest = sha256_bytes(canonical_json(sealed))
    (folder / kind.manifest).write_bytes(canonical_json({**sealed, _DIGEST: digest}))
    return digest


def open_sealed(folder: Path, kind: Kind[M_co]) -> M_co:
    """Check every file of a sealed folder, and return its manifest.

    Raises
    ------
    ArtifactError
        The folder or a file is missing, damaged, unexpected, outside the folder, or of another
        schema version, or a field of the manifest is missing or of another type; the message
        names it.
    """
    manifest = read_manifest(folder, kind)
    listed = manifest.files
    found = _names(folder) - {kind.manifest}
    for name, digest in sorted(listed.items()):
        if name not in found:
            raise _damaged(folder / name, f"file of the {kind.noun} is missing", kind)
        if (folder / name).is_symlink() or sha256(folder / name) != digest:
            raise _damaged(folder / name, "bytes differ from the recorded SHA-256", kind)
    for name in sorted(found - listed.keys()):
        raise ArtifactError(
            f"file does not belong to the {kind.noun}",
            where=folder / name,
            remedy="remove it, or make the folder again",
        )
    return manifest


def read_manifest(folder: Path, kind: Kind[M_co]) -> M_co:
    """Read and check the manifest alone, without the files that it lists.

    Raises
    ------
    ArtifactError
        The manifest is missing, damaged, or of another schema version, or a field is missing or
        of another type.
    """
    path = folder / kind.manifest
    if not path.is_file() or path.is_symlink():
        raise ArtifactError(
            f"not a {kind.noun} ({kind.manifest} is missing)", where=folder, remedy=kind.remedy
        )
    content = path.read_bytes()
    try:
        document = json.loads(content)
        version, digest, files = document[_SCHEMA], document.pop(_DIGEST), document[_FILES]
        newer, older = version > kind.schema_version, version < kind.schema_version
        names = [name for name, _ in files.items()]
        # The bytes are compared too, so that every byte of the file, even white space, is checked.
        intact = sha256_bytes(canonical_json(document)) == digest
        intact = intact and canonical_json({**document, _DIGEST: digest}) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, "not readable as a manifest", kind) from error
    if newer:
        raise ArtifactError(
            f"schema version {version} is newer than this toolkit reads ({kind.schema_version})",
            where=path,
            remedy="update the toolkit, or make the folder again with this one",
        )
    if older:
        raise ArtifactError(
            f"schema version {version} is older than this toolkit reads ({kind.schema_version})",
            where=path,
            remedy=f"make the {kind.noun} again: {kind.remedy}",
        )
    if not intact:
        raise _damaged(path, "content differs from its own digest", kind)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise ArtifactError(
                f"names a file outside its folder: {name!r}", where=path, remedy=kind.remedy
            )
    try:
        return read_record(kind.form, {**document, _DIGEST: digest})
    except FieldError as error:
        raise _damaged(path, str(error), kind) from error


def canonical_json(document: Mapping[str, object]) -> bytes:
    """Encode a document so that equal ones have equal bytes: sorted keys, UTF-8, indent of two.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": "é"}).decode().splitlines()
    ['{', '  "a": "é",', '  "b": 1', '}']
    """
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _names(folder: Path) -> set[str]:
    """List the relative paths of everything in a folder except plain folders."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def _foreign(target: Path, kind: Kind[Manifest]) -> str:
    """Find a file in a folder that no folder of this kind holds; empty if there is none."""
    names = _names(target)
    listed: set[str] = set()
    if kind.manifest in names:
        try:
            manifest = json.loads((target / kind.manifest).read_bytes())
        except (ValueError, RecursionError):
            known = re.compile(f"{kind.members}|{re.escape(kind.manifest)}")
            return min((name for name in names if not known.fullmatch(name)), default="")
        ours = isinstance(manifest, dict) and {_DIGEST, _FILES, _SCHEMA} <= manifest.keys()
        if not ours:
            return kind.manifest
        listed = {kind.manifest, *manifest[_FILES]}
    return min(names - listed, default="")


def _damaged(where: Path, problem: str, kind: Kind[Manifest]) -> ArtifactError:
    return ArtifactError(problem, where=where, remedy=f"the {kind.noun} is damaged: {kind.remedy}")
