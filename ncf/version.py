"""The version of the toolkit that is installed."""

from importlib import metadata

__version__ = metadata.version("ncf")
