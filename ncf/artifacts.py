"""Write and check sealed folders: a manifest has the SHA-256 of every other file and of itself.

Prepared data, checkpoints, bundles and runs are all sealed folders. A reader opens one with
:func:`open_sealed`, which names any file that is missing, extra, damaged or too new before the
folder is used, and returns the manifest as the type of its :class:`Kind`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ncf.errors import ArtifactError, StorageError
from ncf.files import atomic_folder, check_target, sha256, sha256_bytes
from ncf.kinds import Kind, M_co, Manifest
from ncf.records import FieldError, read_record
from ncf.volumes import followed, is_half_filled, is_ours, is_stray

_DIGEST = "digest"
_FILES = "files"
_SCHEMA = "schema_version"


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
    with atomic_folder(target, before_swap, manifest=kind.manifest, members=kind.members) as folder:
        yield folder


def require_replaceable(target: Path, kind: Kind[Manifest]) -> None:
    """Refuse to replace anything but an older folder of the same kind.

    Raises
    ------
    StorageError
        ``target`` is a file, or holds files that no such folder has.
    """
    check_target(target)
    target = followed(target)
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
    if kind.former_manifest:  # where an earlier version died after it had sealed
        (folder / kind.former_manifest).unlink(missing_ok=True)
    files = {name: sha256(folder / name) for name in sorted(_names(folder) - {kind.manifest})}
    content, digest = sealed_manifest(kind, document, files)
    (folder / kind.manifest).write_bytes(content)
    return digest


def sealed_manifest(
    kind: Kind[Manifest], document: Mapping[str, object], files: Mapping[str, str]
) -> tuple[bytes, str]:
    """Make the manifest that seals a folder of files whose digests are known.

    Parameters
    ----------
    kind : Kind
        Gives the schema version.
    document : mapping
        Fields of the manifest besides digests, as JSON values.
    files : mapping
        SHA-256 of every other file, by its path in the folder.

    Returns
    -------
    content : bytes
        The manifest.
    digest : str
        The folder's digest: SHA-256 of the manifest's content, 64 hex digits.
    """
    plain = {key: value for key, value in document.items() if key != _DIGEST}
    sealed = {**plain, _SCHEMA: kind.schema_version, _FILES: dict(files)}
    digest = sha256_bytes(canonical_json(sealed))
    return canonical_json({**sealed, _DIGEST: digest}), digest


def open_sealed(folder: Path, kind: Kind[M_co]) -> M_co:
    """Check every file of a sealed folder, and return its manifest.

    A file may be a link to a regular file, as caches of Hugging Face and DVC keep them: its bytes
    have to be those that the manifest records. Links to folders are not followed.

    Raises
    ------
    ArtifactError
        The folder or a file is missing, damaged, unexpected, outside the folder, or of another
        schema version, or a field of the manifest is missing or of another type; the message
        names it.
    """
    manifest = read_manifest(folder, kind)
    listed = manifest.files
    found = _names(folder) - {kind.manifest_of(folder).name}
    for name, digest in sorted(listed.items()):
        if name not in found:
            raise _damaged(folder / name, f"file of the {kind.noun} is missing", kind)
        if not (folder / name).is_file():
            raise _no_file(folder / name, kind)
        if sha256(folder / name) != digest:
            raise _damaged(folder / name, "bytes differ from the recorded SHA-256", kind)
    for name in sorted(found - listed.keys()):
        remedy = "remove it, or make the folder again"
        problem = f"file does not belong to the {kind.noun}"
        raise ArtifactError(problem, where=folder / name, remedy=remedy)
    return manifest


def read_manifest(folder: Path, kind: Kind[M_co]) -> M_co:
    """Read and check the manifest alone, without the files that it lists.

    Raises
    ------
    ArtifactError
        The manifest is missing, damaged, or of another schema version, or a field is missing or
        of another type.
    """
    path = kind.manifest_of(folder)
    if not path.is_file():
        problem = f"not a {kind.noun} ({kind.manifest} is missing)"
        if inside := min(folder.glob(f"*/{kind.manifest}"), default=None):
            raise ArtifactError(problem, where=folder, remedy=f"give {inside.parent}, which is one")
        raise ArtifactError(problem, where=folder, remedy=kind.remedy)
    content = path.read_bytes()
    try:
        document = json.loads(content)
        version, files = document[_SCHEMA], document[_FILES]
        newer, older = version > kind.schema_version, version < kind.schema_version
        names, whole = [name for name, _ in files.items()], is_intact(content, document)
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
    if not whole:
        raise _damaged(path, "content differs from its own digest", kind)
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
            raise ArtifactError(
                f"names a file outside its folder: {name!r}", where=path, remedy=kind.remedy
            )
    try:
        return read_record(kind.form, document)
    except FieldError as error:
        raise _damaged(path, str(error), kind) from error


def canonical_json(document: Mapping[str, object]) -> bytes:
    """Encode a document so that equal ones have equal bytes: sorted keys, UTF-8, indent of two."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def is_intact(content: bytes, document: Mapping[str, object]) -> bool:
    """Compare the bytes too, so that every byte of the file, even white space, is checked."""
    plain = {name: value for name, value in document.items() if name != _DIGEST}
    digest = sha256_bytes(canonical_json(plain))
    return canonical_json({**plain, _DIGEST: digest}) == content


def _names(folder: Path) -> set[str]:
    """List the relative paths of all files, but for what systems and writers leave in a folder."""
    return {
        relative.as_posix()
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir())
        and not is_ours((relative := path.relative_to(folder)).parts[0])
        and not any(map(is_stray, relative.parts))
    }


def _foreign(target: Path, kind: Kind[Manifest]) -> str:
    """Find a file in a folder that no folder of this kind holds; empty if there is none."""
    names = _names(target)
    listed: set[str] = set()
    path = kind.manifest_of(target)
    if path.name in names:
        try:
            manifest = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            known = re.compile(f"{kind.members}|{re.escape(path.name)}")
            return min((name for name in names if not known.fullmatch(name)), default="")
        ours = isinstance(manifest, dict) and {_DIGEST, _FILES, _SCHEMA} <= manifest.keys()
        if not ours:
            return path.name
        listed = {path.name, *manifest[_FILES]}
    elif is_half_filled(target):
        listed = {name for name in names if re.fullmatch(kind.members, name)}
    return min(names - listed, default="")


def _damaged(where: Path, problem: str, kind: Kind[Manifest]) -> ArtifactError:
    return ArtifactError(problem, where=where, remedy=f"the {kind.noun} is damaged: {kind.remedy}")


def _no_file(where: Path, kind: Kind[Manifest]) -> ArtifactError:
    """Say that a link leads to no file, or that a pipe or a device stands where a file belongs."""
    if where.is_symlink():
        return ArtifactError(
            "is a link that leads to no file",
            where=where,
            remedy=f"fetch what it leads to, or make the {kind.noun} again: {kind.remedy}",
        )
    return _damaged(where, "is not a regular file", kind)
