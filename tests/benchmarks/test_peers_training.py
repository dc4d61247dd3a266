"""benchmarks/peers_training.py: one place scores the masks of every peer, and a line tells when it reached a goal."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import peers_training
from utils.errors import InputError


def save(folder: Path, name: str, mask: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(folder / name)


def test_masks_are_scored_without_what_is_too_small():
    truth = np.zeros((2, 20, 30), np.bool_)
    truth[1, 2:12, 2:12] = True
    answer = truth.copy()
    answer[0, 15:17, 20:22] = True  # 4 pixels
    assert peers_training.score([answer], [truth], 5) == (1, 1)
    assert peers_training.score([answer], [truth], 4) == (0.5, 1)


def test_line_tells_minutes_to_each_goal():
    rows = [
        {"epoch": 1, "minutes": 1.5, "dice": 0.7, "defect_dice": 0.4},
        {"epoch": 2, "minutes": 3.0, "dice": 0.8, "defect_dice": 0.65},
    ]
    assert peers_training.told("script", rows, [0.4, 0.6, 0.7]) == (
        "script: defect-only Dice 0.4 after 1.5 min, 0.6 after 3.0 min, 0.7 not reached; "
        "after all 3.0 min: mean Dice 0.800, defect-only 0.650"
    )


def test_peer_of_another_interpreter_is_scored_by_its_masks(tmp_path, monkeypatch, capsys):
    data, split = labelled(tmp_path)
    program = """
import json, os, sys
from pathlib import Path
import numpy as np
from PIL import Image
assert "PYTHONPATH" not in os.environ
data, out = Path(sys.argv[1]), Path(sys.argv[2])
assert (data / "train.txt").read_text().split() == [str(data / "images/a.png")]
assert json.loads((data / "yolo.yaml").read_text())["names"] == {"0": "spot"}
[name] = (data / "valid.txt").read_text().split()
assert Path(name).is_file() and (data / "labels" / (Path(name).stem + ".txt")).read_text().startswith("0 ")
mask = np.zeros((40, 40), np.uint8)
mask[10:25, 10:30] = 1
(out / "1").mkdir()
Image.fromarray(mask).save(out / "1" / "b.png")
(out / "seconds.json").write_text("[90.0]")
"""
    monkeypatch.setattr(peers_training, "ULTRALYTICS", program)
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    out = tmp_path / "rows.csv"
    words = ["-dir", str(data), "-split", str(split), "-runs", str(tmp_path / "runs"), "-out", str(out)]
    assert peers_training.main([*words, "-peers", "ultralytics", "-ultralytics", sys.executable]) == 0
    assert "ultralytics: defect-only Dice 0.5 after 1.5 min" in capsys.readouterr().out
    with open(out, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["peer"], row["minutes"], row["dice"]) == ("ultralytics", "1.5", "1.0")
    with pytest.raises(InputError, match="name a new folder"):
        peers_training.main([*words, "-peers", "script"])


def test_peers_of_the_plain_loop_learn_and_answer(tmp_path, monkeypatch, capsys):
    data, split = labelled(tmp_path)
    monkeypatch.setattr(peers_training.PlainConfig, "batch_size", 2)
    (data / "train_images" / "c.png").write_bytes((data / "train_images" / "a.png").read_bytes())
    split.write_text(split.read_text() + "c.png,train,1\n")
    words = [
        "-dir",
        str(data),
        "-split",
        str(split),
        "-runs",
        str(tmp_path / "runs"),
        "-out",
        str(tmp_path / "rows.csv"),
    ]
    more = ["-script_epochs", "1", "-deeplab_epochs", "1"]
    assert peers_training.main([*words, *more, "-peers", "script,deeplab,ultralytics"]) == 0
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["script", "deeplab"]
    assert "ultralytics: left out" in said.err


def test_peer_that_fails_is_named():
    with pytest.raises(InputError, match="deeplab: no such network"):
        peers_training.call([sys.executable, "-c", "raise SystemExit('no such network')"], "deeplab", 1)


def test_program_of_the_other_interpreter_is_python():
    compile(peers_training.ULTRALYTICS, "ultralytics", "exec")


def labelled(folder: Path) -> tuple[Path, Path]:
    """Write two labelled images and their split."""
    data = folder / "data"
    rows = ["ImageId,ClassId,EncodedPixels"]
    for name in ("a.png", "b.png"):
        save(data / "train_images", name, np.full((40, 40, 3), 90, np.uint8))
        rows.append(f"{name},1," + " ".join(f"{40 * column + 11} 15" for column in range(10, 30)))
    (data / "train.csv").write_text("\n".join(rows) + "\n")
    (data / "classes.txt").write_text("spot\n")
    split = folder / "split.csv"
    split.write_text("image,side,group\na.png,train,0\nb.png,valid,1\n")
    return data, split
