"""Memory that is freed stays with the process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Pages that the system hands out while a process takes and frees 64 MB twenty times, after it has done so before.
SCRIPT = """
import resource, sys
import torch
from utils.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
before = faults()
for _ in range(20):
    torch.ones(2**24)
print(faults() - before)
"""


@pytest.mark.slow  # it measures a process of its own
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_used_again():
    def faults(word: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, word], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("keep") < faults("give back") / 10


def test_other_systems_say_so(monkeypatch):
    from utils.training import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())  # without mallopt
    assert not memory.keep_freed_memory()
