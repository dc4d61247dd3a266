"""Score the test side of a split, once, when a training has ended."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from config import TrainConfig
from utils.models.segmenter import Segmenter, parts
from utils.training.depthwise import depthwise_in_full
from utils.training.engine import SteelEngine
from utils.training.interruption import Interruption
from utils.training.scorers import Scorers


def final_test(
    config: TrainConfig,
    network: Segmenter,
    batches: Iterable[Mapping[str, Any]],
    engine: SteelEngine,
    interruption: Interruption,
) -> dict[str, Any]:
    """Score a network as validation scores it, on images that the training has not used.

    Args:
        config: the run's settings.
        network: with the best epoch's weights, in evaluation mode.
        batches: the share of this process, as the loaders give them.
        engine: device, precision and processes.
        interruption: ends the scoring between two batches when a signal came.

    Returns:
        The scores of all processes' images together, as those of validation; ``images`` is their number.

    Raises:
        KeyboardInterrupt: a signal came.
    """
    network = network.to(device=engine.device).to(memory_format=torch.channels_last)
    if engine.device.type == "cpu" and config.precision == "bf16":
        depthwise_in_full(network)
    scorers = Scorers.of(config, network.spec)
    for batch in batches:
        with torch.no_grad(), engine.autocast():
            masks, labels = parts(network(batch["images"].to(engine.device, non_blocking=True)))
        for scorer in scorers.all:
            scorer.add({**batch, "logits": masks, "labels": labels})
        interruption.end_if_requested()
    for scorer in scorers.all:
        scorer.finish(engine)
    scores = scorers.to_dict()
    return {"images": scores["images"] if scorers.masks else scores["labels"]["images"], **scores}
