"""Remove folders that others may still write to."""

import errno
import shutil
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder, into which a late worker may be writing."""
    for last in (False, False, True):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if last or error.errno != errno.ENOTEMPTY:
                raise
        else:
            return
