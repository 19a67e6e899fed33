"""Arrays in files: mapped, whole, and no SIGBUS where the disk is full."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ncf.arrays import map_npz, new_npy


def test_a_new_array_is_what_numpy_reads(tmp_path: Path) -> None:
    array = new_npy(tmp_path / "a.npy", np.int32, (3, 2))
    array[:] = np.arange(6).reshape(3, 2)
    array.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(6).reshape(3, 2))


def test_small_and_large_arrays_of_an_archive_come_back(tmp_path: Path) -> None:
    arrays = {"small": np.arange(3), "large": np.arange(20_000), "none": np.empty(0, np.int32)}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # no array is allow_pickle
    found = map_npz(tmp_path / "a.npz")
    assert isinstance(found["large"].base, np.memmap)
    assert not isinstance(found["small"].base, np.memmap)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_large_compressed_array_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", large=np.arange(20_000))
    with pytest.raises(ValueError, match="compressed"):
        map_npz(tmp_path / "a.npz")


_FILL = """
import sys
from pathlib import Path
import numpy as np
from ncf.arrays import new_npy
try:
    new_npy(Path(sys.argv[1], "a.npy"), np.float32, (1 << 20,))[:] = 1
except OSError as error:
    print(error.errno)
"""


def test_a_disk_too_small_for_an_array_is_an_error_and_no_signal(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=256k none {tmp_path} && exec "$0" "$@"'
    launcher = ["unshare", "-Urm", "sh", "-c", mount]
    possible = subprocess.run([*launcher, "true"], capture_output=True, check=False)
    if possible.returncode:
        pytest.skip("cannot mount here")
    ended = subprocess.run(
        [*launcher, sys.executable, "-c", _FILL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "28\n"), ended.stderr
