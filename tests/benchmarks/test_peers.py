"""benchmarks/peers.py: every peer runs in its own interpreter, and one that fails is named with its last words."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import peers
from utils.errors import InputError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(folder / f"{number}.jpg")
    return folder


def test_ratio_to_the_project_is_written(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(peers.PROGRAMS, "project", "print('[0.5, 0.4]')")
    monkeypatch.setitem(peers.PROGRAMS, "script", "print('loading')\nprint('[2.0, 1.5]')")
    out = tmp_path / "peers.csv"
    peers.main(["-images", str(images), "-peers", "project,script,ultralytics", "-out", str(out)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["peer"], row["ms_per_image"], row["times_project"]) for row in rows] == [
        ("project", "250.0", "1.0"),
        ("script", "1000.0", "4.0"),
    ]
    assert "ultralytics: left out" in capsys.readouterr().err


def test_other_interpreter_sees_nothing_of_this_project(images, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(peers.ROOT))
    code = "import os, sys; assert 'PYTHONPATH' not in os.environ; print('[1.0, 1.0]')"
    monkeypatch.setitem(peers.PROGRAMS, "ultralytics", code)
    words = ["-peers", "ultralytics", "-ultralytics", sys.executable, "-out", str(tmp_path / "peers.csv")]
    assert peers.main(["-images", str(images), *words]) == 0


def test_peer_that_fails_is_named(images, tmp_path, monkeypatch):
    monkeypatch.setitem(peers.PROGRAMS, "deeplab", "raise SystemExit('no such network')")
    with pytest.raises(InputError, match="deeplab: no such network"):
        peers.main(["-images", str(images), "-peers", "deeplab", "-out", str(tmp_path / "peers.csv")])


def test_programs_are_python():
    for peer, program in peers.PROGRAMS.items():
        compile(program, peer, "exec")
        assert ("ultralytics" in program) == (peer == "ultralytics")
