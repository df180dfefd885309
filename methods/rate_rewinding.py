"""Rate rewinding: train, prune, rewind the learning rate, train on."""

from switchbench.methods.contract import register
from switchbench.methods.lottery import LotteryTicket
from switchbench.methods.options import option


@register("rate-rewinding")
class RateRewinding(LotteryTicket):
    """Iterative magnitude pruning in which weights stay and the learning-rate schedule is rewound.

    Renda, Frankle & Carbin 2020, *Comparing Rewinding and Fine-tuning in Neural Network Pruning*. As
    ``lottery-ticket``, but each round trains on from the weights that the last one ended with, with the
    learning rates from the rewinding step on.

    Defaults: the lottery ticket's, with a later rewinding step.
    """

    class Config(LotteryTicket.Config):
        rewind: float = option(
            0.1, "share of training to which the learning rate is put back", search=(0.0, 0.5), ge=0, lt=1
        )

    def put_back(self) -> None:
        """Keep the weights."""
