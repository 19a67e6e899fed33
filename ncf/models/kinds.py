"""Names of the networks and of the ways to train them; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Kind(StrEnum):
    """The networks of He et al., "Neural collaborative filtering", WWW 2017."""

    GMF = "gmf"
    MLP = "mlp"
    NEUMF = "neumf"


class Variant(StrEnum):
    """The models that ``ncf train --model`` makes."""

    GMF = "gmf"
    MLP = "mlp"
    NEUMF_END = "neumf-end"
    NEUMF_PRE = "neumf-pre"

    @property
    def kind(self) -> Kind:
        """The network that the variant trains."""
        return Kind(self.value.partition("-")[0])
