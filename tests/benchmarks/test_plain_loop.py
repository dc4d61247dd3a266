"""benchmarks/plain_loop.py: the loop to compare with learns, and its file is one like any other."""

import re

import cv2
import pandas as pd
import pytest
import torch

from benchmarks import plain_loop
from utils.data.splits import write_split
from utils.errors import InputError
from utils.weights.weights_file import load


@pytest.mark.slow  # it trains
def test_it_learns_on_one_side_and_writes_a_weights_file(make_dataset, tmp_path, capsys):
    folder, out = make_dataset(count=24), tmp_path / "plain.pth"
    sizes = {path.name: cv2.imread(str(path)).shape for path in sorted((folder / "train_images").iterdir())}
    first = next(iter(sizes.values()))
    sides = ["train" if size == first else "valid" for size in sizes.values()]
    assert len(set(sides)) == 2
    write_split(pd.DataFrame({"image": list(sizes), "side": sides, "group": range(len(sizes))}), tmp_path / "split.csv")
    flags = f"-dir {folder} -split {tmp_path / 'split.csv'} -out {out} -num_epochs 6 -batch_size 2 -min_area 9 -lr 0.01"
    flags += " -encoder test_resnet"
    assert plain_loop.main(flags.split()) == 0
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", capsys.readouterr().out)]
    assert len(losses) == 6
    assert losses[-1] < 0.8 * losses[0]
    file = load(out)
    assert file.decision.min_areas == (9, 9)
    with torch.no_grad():
        logits = file.build()(torch.zeros(1, 3, *first[:2], dtype=torch.uint8))
    assert logits.shape == (1, 2, *first[:2])
    assert logits.isfinite().all()


def test_fewer_images_than_a_batch_are_refused(make_dataset, tmp_path):
    with pytest.raises(InputError, match="5 images to train on, fewer than -batch_size 8"):
        plain_loop.main(["-dir", str(make_dataset(count=5)), "-out", str(tmp_path / "plain.pth")])


def test_images_of_several_sizes_are_refused(make_dataset, tmp_path):
    with pytest.raises(InputError, match="images of several sizes; the plain loop needs one"):
        plain_loop.main(["-dir", str(make_dataset(count=8)), "-out", str(tmp_path / "plain.pth")])
    assert not (tmp_path / "plain.pth").exists()
