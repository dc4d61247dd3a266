"""benchmarks/encoders.py: one recipe for all encoders, and the times of this machine beside the scores."""

from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks import encoders
from benchmarks.machine import here, write_rows
from config import TrainConfig
from utils.errors import InputError
from utils.training.flags import settle


class Stage:
    """Stands in for training: notes what is asked."""

    def __init__(self) -> None:
        self.trained: list[TrainConfig] = []

    def train(self, config: TrainConfig) -> SimpleNamespace:
        self.trained.append(config if config.resume else settle(config))
        folder = config.resume or config.out
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "split.csv").write_text("image,side,group\na,train,0\nb,valid,1\n")
        (folder / "history.csv").write_text("train_seconds,valid_seconds\n50,10\n50,10\n")
        scores = {"mean_dice": 0.9, "empty_baseline": 0.6, "defect_dice": 0.8, "iou": 0.7}
        return SimpleNamespace(folder=folder, scores=scores, best_epoch=2, epochs=2)


@pytest.fixture
def words(make_dataset, tmp_path) -> list[str]:
    given = f"-dir {make_dataset()} -split {tmp_path / 's.csv'} -runs {tmp_path / 'runs'} -out {tmp_path / 'out.csv'}"
    given += f" -speed {tmp_path / 'speed.csv'} -encoders resnet18,mobilenet_v2"
    return given.split()


def test_each_encoder_has_its_start_and_else_the_same(words, tmp_path, capsys):
    speed = {"encoder": "resnet18", "decoder": "half", "downsample": 2, "isa": "", "million_parameters": 13.3}
    for precision, ms in (("f32", 90.2), ("bf16", 30.7), ("bf16", 20.4)):  # the newest counts
        write_rows(tmp_path / "speed.csv", [{**speed, "precision": precision, "cpu_ms": ms, **here(1)}])
    write_rows(tmp_path / "speed.csv", [{**speed, "precision": "bf16", "cpu_ms": 5, "cpu": "another", "threads": 1}])
    stage = Stage()
    encoders.main([*words, "-start_from", "resnet18=r18.pth"], stage.train)
    first, second = stage.trained
    assert (first.encoder, first.encoder_weights, first.downsample) == ("resnet18", "r18.pth", 2)
    assert (second.encoder, second.encoder_weights, second.downsample) == ("mobilenet_v2", "none", 2)
    same = ("optimizer", "num_epochs", "crop", "augmentation", "seed", "decoder_channels")
    assert [getattr(first, name) for name in same] == [getattr(second, name) for name in same]
    said = capsys.readouterr().out
    assert "| resnet18 | half the size | ImageNet | 13.3 | 90 | 20 | 0.900 | 0.800 | 2 |" in said
    assert "| mobilenet_v2 | half the size | random |  | not measured | not measured | 0.900 | 0.800 | 2 |" in said
    assert (tmp_path / "out.md").read_text() in said
    encoders.main(words, stage.train)
    assert len(stage.trained) == 2, "both rows are there"


def test_an_interrupted_training_goes_on(words, tmp_path):
    started = tmp_path / "runs/mobilenet_v2-2"
    started.mkdir(parents=True)
    (started / "config.yaml").write_text("")
    stage = Stage()
    encoders.main(words, stage.train)
    assert [config.resume for config in stage.trained] == [None, started]
    assert list(pd.read_csv(tmp_path / "out.csv")["encoder"]) == ["resnet18", "mobilenet_v2"]


@pytest.mark.parametrize("wrong", ["resnet50=x.pth", "resnet18"])
def test_a_start_names_an_encoder_and_a_file(words, wrong):
    with pytest.raises(InputError, match="ENCODER=FILE"):
        encoders.main([*words, "-start_from", wrong], Stage().train)
