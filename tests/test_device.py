"""What this machine is and has, what is imported, and what is kept from being imported."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from utils import device

CPUINFO = Path("/proc/cpuinfo")
LINES = """
from utils.device import optional
optional("-backend openvino", "openvino")
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
"""


def test_openvino_tells_nobody_of_its_use():
    """A process of its own, since others here may have imported OpenVINO; ``CI`` would keep it quiet anyway."""
    told = subprocess.run(
        [sys.executable, "-c", LINES], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["openvino.tools.ovc.telemetry_stub"]


@pytest.mark.parametrize(
    ("has_bf16", "instructions"), [(True, "bf16"), (False, torch.backends.cpu.get_cpu_capability())]
)
def test_a_processor_is_named_with_its_instructions(monkeypatch, has_bf16, instructions):
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: has_bf16)
    name, _, told = device.processor().rpartition(" ")
    assert told == f"({instructions})"
    told_by_linux = re.findall(r"^model name\s*: (.+)$", CPUINFO.read_text("utf-8") if CPUINFO.is_file() else "", re.M)
    assert name == (told_by_linux[0].strip() if told_by_linux else platform.processor() or platform.machine())
