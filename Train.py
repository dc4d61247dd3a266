"""Train a network, or all networks of a system, on a dataset folder."""

from collections.abc import Sequence

from config import TrainConfig
from utils.cli import DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """Parse the flags, train, print what came out."""
    config = parse(
        TrainConfig,
        argv,
        "Train.py",
        "Train a network, or a system of networks, on a dataset folder; docs/training.md shows how.",
    )
    from utils.commands.train import train

    result = train(config)
    if result.is_main:
        print(result.text())
    return DONE


if __name__ == "__main__":
    run(main)
