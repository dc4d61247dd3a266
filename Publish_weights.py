"""Make a published weights file out of a run: stripped, measured, with a card and its line in the index."""

from collections.abc import Sequence

from config import PublishWeightsConfig
from utils.cli import DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """Publish, and print what was measured and where it is."""
    config = parse(
        PublishWeightsConfig,
        argv,
        "Publish_weights.py",
        "Makes a published weights file out of a run: stripped, measured, with a card and its line in index.json.",
    )
    from utils.commands.publish_weights import publish_weights

    print(publish_weights(config).text())
    return DONE


if __name__ == "__main__":
    run(main)
