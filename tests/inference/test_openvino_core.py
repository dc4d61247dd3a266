"""Signals arrive though cores of OpenVINO come and go: on processors with AMX a freed one took the stack for them along."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from utils.commands.export_system import runner

ROOT = Path(__file__).parents[2]
START = """import gc, os, signal
import numpy as np, openvino
from openvino import opset13 as ops
signal.signal(signal.SIGUSR1, lambda number, frame: print("handled", flush=True))
image = ops.parameter([1, 3, 8, 8], np.float32)
graph = openvino.Model([ops.relu(image)], [image])

def another(make):
    core = make()
    return core, core.compile_model(graph, "CPU", {})

def two(make):
    first, second = another(make), another(make)
    first = gc.collect()
    second = gc.collect()
"""


def said_by(code: str) -> str:
    """Return what a process of its own says that sends itself a signal at the end."""
    words = [sys.executable, "-X", "faulthandler", "-c", f"{START}\n{code}\nos.kill(os.getpid(), signal.SIGUSR1)"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def openvino():
    pytest.importorskip("openvino")


def test_networks_share_a_core():
    code = "from utils.inference.openvino_core import openvino_core\ntwo(openvino_core)\nprint(openvino_core() is openvino_core())"
    assert said_by(code) == "True\nhandled\n"


def test_threads_that_come_at_once_share_a_core():
    code = """
import threading, time
from utils.inference.openvino_core import openvino_core
made = []
class Slow:
    def __init__(self):
        made.append(self)
        time.sleep(0.1)
openvino.Core = Slow
threads = [threading.Thread(target=openvino_core) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(made))
"""
    assert said_by(code) == "1\nhandled\n"


def test_cores_of_a_library_take_no_stack_along():
    code = (
        "from utils.inference.openvino_core import signal_stack_kept\nwith signal_stack_kept():\n    two(openvino.Core)"
    )
    assert said_by(code) == "handled\n"


def test_there_is_one_way_to_a_core():
    own = re.compile(r"openvino\.Core\(\)|library\.compile_model|openvino\.compile_model")
    found = {str(file.relative_to(ROOT)) for file in (ROOT / "utils").rglob("*.py") if own.search(file.read_text())}
    # The program that an export carries knows nothing of this project; it makes one core for all its networks.
    assert found == {"utils/inference/openvino_core.py", "utils/commands/export_system.py"}


def test_the_program_of_an_exported_system_takes_no_stack_along(tmp_path):
    (tmp_path / "run.py").write_text(runner("multilabel", "openvino"))
    (tmp_path / "system.json").write_text('{"files": {"first": "first.xml", "second": "second.xml"}}')
    code = f"""
import runpy
for name in ("first", "second"):
    openvino.save_model(graph, "{tmp_path}/" + name + ".xml")
networks = runpy.run_path("{tmp_path}/run.py")["networks"]
for name in ("first", "second"):
    del networks[name]
    gc.collect()
"""
    assert said_by(code) == "handled\n"
