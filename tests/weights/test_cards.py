"""The lines of Python on a card load the file, whatever its network; what SMP does not have is loaded by this project."""

from dataclasses import replace

import pytest
import torch

from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.segmenter import parts
from utils.models.spec import ModelSpec
from utils.weights.cards import decided, is_of_smp, loading
from utils.weights.sample import TOLERANCE, Sample
from utils.weights.storage import halved
from utils.weights.weights_file import WeightsFile, load


@pytest.mark.parametrize(
    ("architecture", "task", "widths", "of_smp"),
    [
        ("fpn", "multiclass", (), True),
        ("deeplabv3plus", "binary", (64,), True),
        ("unet", "multilabel", (64, 32, 16, 16, 8), True),
        ("two-head", "multilabel", (), False),
    ],
)
def test_shown_lines_load_the_file(architecture, task, widths, of_smp, tmp_path, monkeypatch):
    spec = ModelSpec(architecture, "mobilenet_v2", task, ("pit", "crack"), decoder_channels=widths)
    model = build(spec)
    assert is_of_smp(model.net) == of_smp
    count = len(spec.scored_names)
    state = halved(model.net.state_dict())
    file = WeightsFile(spec, state, model.mean, model.std, None, Decision.uniform(count, 0.5))
    file.save(tmp_path / "net.pth")
    built = file.build()
    sample = Sample.of(built, 3)
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    exec(loading("net.pth", built), shown)
    images = torch.from_numpy(sample.images)
    with torch.no_grad():
        if of_smp:
            answer = shown["net"].eval()((images / 255 - shown["mean"]) / shown["std"])
        else:
            assert sample.difference(shown["net"]) < TOLERANCE
            answer = shown["net"](images)
    torch.testing.assert_close(parts(answer)[0], torch.from_numpy(sample.answers[0]), atol=TOLERANCE, rtol=0)


def test_shown_lines_say_how_a_downsampled_network_makes_images_smaller():
    spec = ModelSpec("unet", "test_resnet", "multilabel", ("pit",), decoder_channels=(16, 16, 16, 8, 8), downsample=2)
    model = build(spec).eval()
    assert "made smaller by torch.nn.functional.avg_pool2d(images, 2), and the logits" in loading("net.pth", model)
    images = torch.randint(0, 256, (1, 3, 64, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (model.mean, model.std))
    with torch.no_grad():
        small = model.net((torch.nn.functional.avg_pool2d(images.float(), 2) / 255 - mean) / std)
        torch.testing.assert_close(model.enlarged(small), model(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("calibration", "said"),
    [
        ({"split": "valid", "images": 70}, "Chosen on the validation images (`Evaluate.py -calibrate`), whose scores"),
        (
            {"split": "all", "images": 240, "dataset": "more"},
            "Chosen on 240 images of more (`Evaluate.py -calibrate -split all`).\n",
        ),
        (None, "| - |\n"),
    ],
)
def test_the_card_says_which_images_chose_the_thresholds(make_weights, calibration, said):
    weights = load(next(make_weights().glob("*.pth")))
    text = decided(
        weights.spec.class_names, replace(weights, metrics={"calibration": calibration} if calibration else {})
    )
    assert said in text
    assert (calibration is None) == ("Chosen" not in text)
