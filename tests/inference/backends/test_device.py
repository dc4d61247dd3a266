"""What is imported, and what is kept from being imported."""

import subprocess
import sys
from pathlib import Path

LINES = """
from utils.inference.backends.device import optional
optional("-backend openvino", "openvino")
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""


def test_openvino_tells_nobody_of_its_use():
    """A process of its own, since others here may have imported OpenVINO; ``CI`` would keep it quiet anyway."""
    told = subprocess.run(
        [sys.executable, "-c", LINES], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["openvino.tools.ovc.telemetry_stub"]
