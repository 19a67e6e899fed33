"""Memory-map arrays in files, instead of reading or writing them."""

import errno
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_MAPPED_FROM = 1 << 16  # bytes; smaller arrays are read
# What file systems of networks and FUSE answer that cannot map files, or reserve space.
_NO_SUCH_CALL = {errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip member; the last two are lengths


def map_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Open the arrays of an uncompressed ``.npz`` file by name.

    Large arrays are memory-mapped, which :func:`numpy.load` does only for ``.npy`` files:
    processes on one machine share them, and pages that are not used take no memory.

    Raises
    ------
    ValueError
        The file is compressed, or not what :func:`numpy.savez` writes.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    # Not np.load: it leaves the file open if the archive is damaged.
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.file_size < _MAPPED_FROM:
                with archive.open(member) as content:
                    arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
            elif member.compress_type == zipfile.ZIP_STORED:
                arrays[name] = _mapped(path, file, member.header_offset)
            else:
                raise ValueError(f"{member.filename} is compressed")
    return arrays


def map_npy(path: Path) -> npt.NDArray[Any]:
    """Map an array of a ``.npy`` file; read it where the file system maps none."""
    # Not np.load: it leaves the file open if it is no array.
    try:
        mapped: npt.NDArray[Any] = np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
        with path.open("rb") as file:
            mapped = np.lib.format.read_array(file, allow_pickle=False)
    return mapped


class Unmapped(np.ndarray[Any, np.dtype[Any]]):
    """An array that is written to its file as a whole, where no file can be mapped."""

    path: Path

    def flush(self) -> None:
        """Write it."""
        np.save(self.path, self.view(np.ndarray))


def new_npy(
    path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]
) -> "np.memmap[Any, np.dtype[Any]] | Unmapped":
    """Make a memory-mapped ``.npy`` file to fill, and reserve its space on the disk.

    Without reserved space, a full disk ends the process with SIGBUS instead of an error. The array
    is on the disk once it is flushed.

    Raises
    ------
    OSError
        The disk has too little space.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
        unmapped = np.zeros(shape, dtype).view(Unmapped)
        unmapped.path = path
        return unmapped
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in _NO_SUCH_CALL:
                    raise
    return array


def _mapped(path: Path, file: BinaryIO, start: int) -> npt.NDArray[Any]:
    file.seek(start)
    fields = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    file.seek(fields[-2] + fields[-1], 1)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"array format {version} is not 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran and len(shape) > 1:
        raise ValueError("the array is in column order")
    start = file.tell()
    try:
        # A plain view: each slice of a memmap costs microseconds of Python.
        return np.asarray(np.memmap(path, dtype, "r", start, shape))
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
    file.seek(start)
    return np.fromfile(file, dtype, int(np.prod(shape))).reshape(shape)
