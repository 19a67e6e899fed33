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
from ncf.training.schedule import Schedule, Start


class SharedStart:
    """The GMF that a tower starts from, where the training of its sibling comes by it.

    With the same recipe and seed, the GMF parent of a NeuMF is, after some epochs, the very GMF
    that the MLP parent starts from; so it need not be trained twice.

    Parameters
    ----------
    start : Start or None
        What the tower starts from.
    """

    def __init__(self, start: Start | None = None) -> None:
        self._start = start
        self._weights: dict[str, Tensor] | None = None

    def watch(self, schedule: Schedule, epochs: int, average: Network) -> None:
        """Keep the average of a training after these epochs, if it is what the tower wants."""
        start = self._start
        if start is None or epochs != start.epochs or schedule.decay != 1:
            return
        names = ("learning_rate", "l2", "averaging", "blocks")
        if all(getattr(schedule, name) == getattr(start, name) for name in names):
            self._weights = {name: each.clone() for name, each in average.state_dict().items()}

    def fill(self, average: Network) -> bool:
        """Give a GMF the weights that were kept; False if there are none of its sizes."""
        if self._weights is None:
            return False
        wanted = {name: each.shape for name, each in average.state_dict().items()}
        if wanted != {name: each.shape for name, each in self._weights.items()}:
            return False
        average.load_state_dict(self._weights)
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
