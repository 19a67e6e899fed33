"""Names of the networks and of the ways to train them; no imports, so that ``--help`` is quick."""

from enum import StrEnum


class Kind(StrEnum):
    """The networks of He et al., "Neural collaborative filtering", WWW 2017, and what is none.

    A model of kind ``item-item`` has a weight for each two items, and no row for a user: see
    :mod:`ncf.baselines.item_item`.
    """

    GMF = "gmf"
    MLP = "mlp"
    NEUMF = "neumf"
    ITEM_ITEM = "item-item"

    @classmethod
    def networks(cls) -> "list[Kind]":
        """List the networks."""
        return [cls.GMF, cls.MLP, cls.NEUMF]


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
