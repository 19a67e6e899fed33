"""Folders that cannot be renamed: mounted volumes, and folders whose parent may not be written.

A volume of a container is a mount point: no rename replaces it, and what lies beside it is on
another disk, which may be read-only. What a writer keeps beside another folder, it keeps within
such a one, under names that begin with ``.ncf.``; and its files are replaced one by one.
"""

import errno
import os
import re
import shutil
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4  # field of a line
_FILLING = ".ncf.filling"
_OWN = re.compile(r"\.ncf\.(filling|\d+(\.\w+)?\.tmp|lock(\.\w+)*|work|study)")
# What file managers, network file systems and formatted disks leave in any folder.
_STRAY = re.compile(
    r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|lost\+found|\.directory|@eaDir|\.nfs[0-9a-f]+"
    r"|\.fuse_hidden[0-9a-f]+|\.Trash-\d+|\.snapshot|\.ipynb_checkpoints"
)
# Of a rename: onto or off a mount point; to another disk, or of a folder of an image's lower layer.
UNMOVABLE = {errno.EBUSY, errno.EXDEV}


def followed(target: Path) -> Path:
    """Follow a link to a folder, so that the folder is written and not the link."""
    return target.resolve() if target.is_symlink() and target.is_dir() else target


def is_mount(path: Path) -> bool:
    """Whether something is mounted here; bind mounts of the same disk too, where Linux tells."""
    if os.path.ismount(path):
        return True
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    # Blanks in names are octal: \040.
    real = re.sub(r"[\s\\]", lambda found: f"\\{ord(found[0]):03o}", os.path.realpath(path))
    return any(line.split(" ", _MOUNT_POINT + 1)[_MOUNT_POINT] == real for line in lines)


def keeps_within(target: Path) -> bool:
    """Whether what belongs beside a folder has to be kept within it."""
    if not target.is_dir():
        return False
    parent = target.absolute().parent
    return is_mount(target) or (os.access(target, os.W_OK) and not os.access(parent, os.W_OK))


def beside(target: Path, suffix: str) -> Path:
    """Where a writer keeps what belongs to a target."""
    target = followed(target)
    if keeps_within(target):
        return target / f".ncf.{suffix}"
    return target.with_name(f".{target.name}.{suffix}")


def is_ours(name: str) -> bool:
    """Whether a file's name says that a writer keeps it within a volume."""
    return _OWN.fullmatch(name) is not None


def is_stray(name: str) -> bool:
    """Whether a name is one that systems leave in any folder."""
    return _STRAY.fullmatch(name) is not None


def is_half_filled(target: Path) -> bool:
    """Whether a writer died while it replaced the files of a volume one by one."""
    return (target / _FILLING).exists()


def refill(target: Path, new: Path, last: str, members: str) -> None:
    """Replace the files of a folder by those of another, the manifest last.

    Meanwhile readers find no manifest, and say so, rather than old and new files together.

    Parameters
    ----------
    target : Path
        Folder to fill; the caller holds its lock.
    new : Path
        Folder with the files, on the same disk or on another.
    last : str
        Name of the manifest: goes first, and comes last.
    members : str
        Regular expression of files that the old content may have had: others stay.
    """
    (target / _FILLING).touch()
    (target / last).unlink(missing_ok=True)
    names = {path.name for path in new.iterdir()}
    for path in sorted(target.iterdir()):
        if path.name not in names and re.fullmatch(members, path.name):
            _remove(path)
    for path in sorted(new.iterdir(), key=lambda path: (path.name == last, path.name)):
        _move(path, target / path.name)
    (target / _FILLING).unlink()


def _move(source: Path, target: Path) -> None:
    if source.is_dir() and target.is_dir():
        shutil.rmtree(target)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in UNMOVABLE:
            raise
        aside = target.with_name(f".ncf.{os.getpid()}.copy.tmp")
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, aside)
        aside.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
