"""Choose how a network is trained: by blocks or on sampled pairs, from noise or from weights."""

import torch

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.models.networks import GMF, Network
from ncf.training.block_epochs import BlockEpochs
from ncf.training.request import Request
from ncf.training.sampled_epochs import SampledEpochs
from ncf.training.warm_start import Warm
from ncf.training.warm_weights import without_output_weights


def epochs_of(model: Network, request: Request, data: PreparedData) -> BlockEpochs | SampledEpochs:
    """Choose how the schedule trains a network, which is changed in place.

    Raises
    ------
    ConfigError
        The schedule does not suit the network.
    """
    schedule = request.recipe.schedule
    if schedule.start is not None and isinstance(model, GMF):
        raise ConfigError("a gmf starts from nothing", remedy="remove 'start' from its schedule")
    if schedule.blocks is None:
        return SampledEpochs(model, schedule, data.train, request.ranks, amp=request.amp)
    if not isinstance(model, GMF):
        raise ConfigError(
            f"blocks train GMF alone, not {request.variant.value}",
            remedy="remove 'blocks' from its schedule",
        )
    return BlockEpochs(model, schedule, schedule.blocks, data.train, request.ranks)


def start_warm(
    model: Network, epochs: BlockEpochs | SampledEpochs, warm: Warm, *, everything: bool
) -> None:
    """Start a network, and the average of its weights, from the weights of a warm start.

    Blocks learn all pairs anew. Sampled pairs are tonight's alone: another pass over the others
    would only overfit, as validation has ended the first training.
    """
    weights = warm.weights(everything=everything)
    if isinstance(epochs, BlockEpochs):
        weights = without_output_weights(weights)
    else:
        epochs.samples.leave_out(warm.known(everything=everything))
    tensors = {name: torch.from_numpy(each) for name, each in weights.items()}
    model.load_state_dict(tensors)
    epochs.average.network.load_state_dict(tensors)
