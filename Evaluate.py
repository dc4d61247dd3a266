"""Score a network on labelled images."""

from collections.abc import Sequence

from config import EvaluateConfig
from utils.cli import DONE, SOME_SKIPPED, parse, run


def main(argv: Sequence[str]) -> int:
    """Evaluate, print the scores, and say by the exit code whether images were skipped."""
    config = parse(EvaluateConfig, argv, "Evaluate.py", "Scores a network on labelled images.")
    from utils.commands.evaluate import evaluate

    result = evaluate(config)
    print(result.text())
    return SOME_SKIPPED if result.skipped else DONE


if __name__ == "__main__":
    run(main)
