"""Names of the toolkit's recipes; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Named(StrEnum):
    """Recipes of the toolkit; ``recipes/NAME.toml`` says what each is for."""

    DEFAULT = "default"
    PAPER = "paper"
    SAMPLED = "sampled"
    TUTORIAL = "tutorial"
