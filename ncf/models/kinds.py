"""Names of the networks, and of the ways to train them; light enough for ``--help``."""

from enum import StrEnum


class Kind(StrEnum):
    """The networks of He et al., "Neural collaborative filtering", WWW 2017."""

    GMF = "gmf"
    MLP = "mlp"
    NEUMF = "neumf"


class Variant(StrEnum):
    """What ``ncf train --model`` makes."""

    GMF = "gmf"
    MLP = "mlp"
    NEUMF_END = "neumf-end"
    NEUMF_PRE = "neumf-pre"

    @property
    def kind(self) -> Kind:
        """Network of the variant."""
        return Kind(self.value.partition("-")[0])
