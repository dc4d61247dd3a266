"""Show the whole path on synthetic strips: make them, train, predict, evaluate."""

import sys
from collections.abc import Sequence

from config import DemoConfig
from utils.cli import DONE, parse, run

NOT_BETTER_THAN_NOTHING = 1


def main(argv: Sequence[str]) -> int:
    """Run the demo, print its table, and say by the exit code whether the network learned something."""
    config = parse(DemoConfig, argv, "Demo.py", "Makes synthetic strips, trains on them, predicts and scores new ones.")
    from utils.commands.demo import demo

    result = demo(config)
    print(f"\n{result.text()}")
    if not result.passed:
        beaten = f"mean Dice {result.mean_dice:.3f} does not beat the empty baseline {result.empty_baseline:.3f}"
        print(f"error: {beaten}", file=sys.stderr)
        return NOT_BETTER_THAN_NOTHING
    return DONE


if __name__ == "__main__":
    run(main)
