"""The ``ncf`` command. Each command turns arguments into one call and prints the result."""

from ncf.packages import find_own_first

find_own_first()

from ncf.cli.app import main  # noqa: E402 - its modules import batch and export

__all__ = ["main"]
