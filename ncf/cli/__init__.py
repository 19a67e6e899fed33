"""The ``ncf`` command. Each command turns arguments into one call and prints the result."""

from ncf.cli.app import main

__all__ = ["main"]
