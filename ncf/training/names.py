"""Names of the recipes that come with the toolkit; light enough for ``--help``."""

from enum import StrEnum


class Named(StrEnum):
    """Recipes that come with the toolkit; what each is for stands in ``recipes/NAME.toml``."""

    DEFAULT = "default"
    PAPER = "paper"
    TUTORIAL = "tutorial"
