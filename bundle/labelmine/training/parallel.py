"""One training on several ranks: gradients, batch statistics and decisions are the same on all of them."""

from __future__ import annotations

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from labelmine.ranks import gathered

RANK_STRIDE = 7_919  # sets the seeds of ranks apart, further than any training has epochs


def data_parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network as the trainer should call it: its gradients are the mean over ranks; collective.

    Save and ask the bare network, never what is returned. On GPUs batch normalisation takes its statistics from the
    batches of all ranks; what is frozen stays as it is. On CPUs, where torch cannot, see ``MeanStatistics``.
    """
    if idist.get_world_size() == 1:
        return network
    if device.type == "cuda":
        _synchronise(network.train())
    # The same graph at each step: that some encoders have layers without a use (efficientnet) is then no error.
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=devices, static_graph=True)


class MeanStatistics:
    """Give all ranks the mean of their running statistics after each step, so that they predict alike.

    torch's own way, to hand over the first rank's before the next step, comes too late for labels and validation.

    Attach before the handlers that look at the network after a step, for example ``EmaStudent``.

    Args:
        network: The bare network. Batch normalisation that is frozen keeps its statistics.
    """

    def __init__(self, network: nn.Module) -> None:
        """Keep the network."""
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Average after each step of the trainer ``engine``; one rank has nothing to average."""
        if idist.get_world_size() > 1:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        """Replace running means and variances by their mean over ranks; collective."""
        layers = [m for m in self.network.modules() if isinstance(m, _BatchNorm) and m.training]
        own = [s for layer in layers for s in (layer.running_mean, layer.running_var) if s is not None]
        if not own:
            return
        mean = idist.all_reduce(torch.cat(own)) / idist.get_world_size()
        for statistic, values in zip(own, torch.split(mean, [len(statistic) for statistic in own]), strict=True):
            statistic.copy_(values)


def agree_on_metrics(engine: Engine) -> None:
    """Give all ranks the first one's metrics, so that a last bit cannot make them decide differently; collective."""
    engine.state.metrics = gathered(engine.state.metrics)[0]


def _synchronise(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and child.training:  # frozen layers stay in evaluation mode
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
