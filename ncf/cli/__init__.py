"""The ``ncf`` command: arguments in, one call, figures out."""

from ncf.cli.app import main

__all__ = ["main"]
