"""Put the lists of users in files by a hash of the raw id, so that two runs meet file by file.

Users are in another order in each run. Memory holds one part, then one file of each run.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa

from ncf.files import storage_errors

ROWS_A_BUCKET = 1 << 20
"""Rows of a run in one file, on average."""


def bucket_count(rows: Iterable[int]) -> int:
    """Say in how many files runs of so many rows are put; all of them in equally many.

    Examples
    --------
    >>> bucket_count([10, ROWS_A_BUCKET + 1])
    2
    """
    return max(1, *(-(-each // ROWS_A_BUCKET) for each in rows))


class Buckets:
    """Files of one run's lists, which are removed with their folder.

    Parameters
    ----------
    folder : Path
        An empty folder.
    count : int
        Number of files.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        self._open = ExitStack()

    def __enter__(self) -> "Buckets":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def add(self, lists: pa.Table) -> None:
        """Put each list into the file of its user.

        Raises
        ------
        StorageError
            The folder of temporary files is full.
        """
        users = lists["user"].to_numpy()
        owners = pd.util.hash_array(users, categorize=False) % np.uint64(self._count)
        order = np.argsort(owners, kind="stable")
        ends = np.cumsum(np.bincount(owners.astype(np.int64), minlength=self._count))
        sorted_lists = lists.take(pa.array(order)).combine_chunks()
        start = 0
        with storage_errors(self._folder):
            for number, end in enumerate(ends.tolist()):
                if end > start:
                    self._writer(number, lists.schema).write_table(sorted_lists[start:end])
                start = end

    def read(self, number: int) -> pa.Table | None:
        """Read a file, after all were written; None if no user is in it."""
        path = self._path(number)
        if not path.exists():
            return None
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all().combine_chunks()

    def _writer(self, number: int, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        if number not in self._writers:
            file = self._open.enter_context(pa.OSFile(str(self._path(number)), "wb"))
            self._writers[number] = self._open.enter_context(pa.ipc.new_stream(file, schema))
        return self._writers[number]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.arrow"
