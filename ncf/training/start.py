"""Start a network's embeddings from a GMF that is trained by blocks, instead of from noise.

A tower over embeddings that already say who likes what needs few epochs of sampled pairs; from
noise, it has to find the embeddings by sampling too.
"""

import torch
from torch import Tensor

from ncf.data.interactions import Interactions
from ncf.models.networks import GMF, MLP, Network, NeuMF
from ncf.training.block_epochs import BlockEpochs
from ncf.training.ranks import Ranks
from ncf.training.recipe import Recipe
from ncf.training.schedule import Schedule, Start


class SharedStart:
    """The GMF that a tower starts from, where the training of its sibling comes by it.

    With the same recipe, width and seed, the GMF parent of a NeuMF is, after some epochs, the very
    GMF that the MLP parent starts from; so it need not be trained twice.

    Parameters
    ----------
    tower : Recipe or None
        The recipe of the MLP parent.
    """

    def __init__(self, tower: Recipe | None = None) -> None:
        self._tower = tower
        self._weights: dict[str, Tensor] | None = None

    def watch(self, recipe: Recipe, epochs: int, average: Network) -> None:
        """Keep the average of a training after these epochs, if it is what the tower wants."""
        tower = self._tower
        start = None if tower is None else tower.schedule.start
        if tower is None or start is None or epochs != start.epochs:
            return
        width = tower.factors * 2 ** (tower.layers - 1)
        alike = recipe.seed == tower.seed and average.branches()[0].width == width
        schedule, names = recipe.schedule, ("learning_rate", "l2", "averaging", "blocks")
        same = all(getattr(schedule, name) == getattr(start, name) for name in names)
        if alike and same and schedule.decay == 1:
            self._weights = {name: each.clone() for name, each in average.state_dict().items()}

    def fill(self, recipe: Recipe, average: Network) -> bool:
        """Give the GMF of the tower's training what was kept, once; False if there is nothing."""
        weights, self._weights = self._weights, None
        if weights is None or recipe != self._tower:
            return False
        average.load_state_dict(weights)
        return True


def gmf_to_start(
    network: Network, start: Start, train: Interactions, seed: int, ranks: Ranks
) -> BlockEpochs:
    """Make the epochs of a GMF as wide as the network's GMF branch, or else as its tower.

    Parameters
    ----------
    network : MLP or NeuMF
        The network that will start from it.
    start : Start
        How to train the GMF.
    train : Interactions
        Training pairs.
    seed : int
        Seed of the GMF.
    ranks : Ranks
        The processes that share the work.
    """
    branch = network.branches()[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gmf = GMF(train.n_users, train.n_items, branch.width).to(branch.user.weight.device)
    schedule = Schedule(learning_rate=start.learning_rate, l2=start.l2, averaging=start.averaging)
    return BlockEpochs(gmf, schedule, start.blocks, train, ranks)


@torch.no_grad()
def start_from(network: MLP | NeuMF, gmf: GMF, scale: float) -> None:
    """Take the embeddings of a trained GMF.

    The embeddings of a tower become the GMF's, scaled to a root mean square of ``scale``; a
    narrower tower takes the directions in which the items differ most, a wider one keeps noise in
    the others. A GMF branch becomes the GMF, and the tower beside it starts with no say.
    """
    _fill(network.mlp.user.weight, network.mlp.item.weight, gmf, scale)
    network.output.bias.copy_(gmf.output.bias)
    if isinstance(network, NeuMF):
        width = network.gmf.width
        network.gmf.load_state_dict(gmf.gmf.state_dict())
        network.output.weight[:, :width] = 1
        network.output.weight[:, width:] = 0


def _fill(users: Tensor, items: Tensor, gmf: GMF, scale: float) -> None:
    """Fill a tower's embeddings with the leading columns of a GMF's, each table to one scale."""
    # The first factor is an item's bias, and the same for all users.
    from_users, from_items = gmf.gmf.user.weight[:, 1:], gmf.gmf.item.weight[:, 1:]
    width = min(users.shape[1], from_users.shape[1])
    if users.shape[1] < from_users.shape[1]:
        _, directions = torch.linalg.eigh((from_items.T @ from_items).double().cpu())
        turn = directions.flip(-1)[:, :width].to(from_users)
        from_users, from_items = from_users @ turn, from_items @ turn
    for table, rows in ((users, from_users), (items, from_items)):
        table[:, :width] = rows * (scale / rows.square().mean().sqrt().clamp(min=1e-12))
