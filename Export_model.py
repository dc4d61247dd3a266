"""Write a network in the format of other programs: ONNX or OpenVINO, preprocessing inside."""

from collections.abc import Sequence

from config import ExportConfig
from utils.cli import DONE, parse, run


def main(argv: Sequence[str]) -> int:
    """Export, compare with the original, and print how close it is."""
    config = parse(ExportConfig, argv, "Export_model.py", "Writes a network as ONNX or OpenVINO and checks it.")
    from utils.commands.export_model import export_model

    print(export_model(config).text())
    return DONE


if __name__ == "__main__":
    run(main)
