"""Find the version of the installed toolkit."""

from importlib import metadata

__version__ = metadata.version("ncf")
