"""List, fetch and verify published weights."""

from collections.abc import Sequence

from config import DownloadWeightsConfig
from utils.cli import BAD_INPUT, DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """List, fetch or verify, print what there is, and say by the exit code whether a file is damaged."""
    config = parse(
        DownloadWeightsConfig,
        argv,
        "Download_weights.py",
        "Fetches published weights. What is there already and whole is left alone; what is damaged is fetched again.",
    )
    from utils.commands.download_weights import download_weights

    result = download_weights(config)
    print(result.text())
    return DONE if result.whole else BAD_INPUT


if __name__ == "__main__":
    run(main)
