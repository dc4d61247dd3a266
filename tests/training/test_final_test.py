"""The scores of the test images: those that validation would give, whatever the processes."""

from types import SimpleNamespace

import pytest
import torch

from config import TrainConfig
from utils.data.dataset_folder import open_dataset
from utils.models.factory import build
from utils.models.segmenter import Segmenter
from utils.training.engine import make_engine
from utils.training.final_test import final_test
from utils.training.flags import make_spec, settle_network
from utils.training.interruption import Interruption
from utils.training.loaders import make_loaders, make_test_loader


def parts_of(make_dataset, **changes):
    """The dataset, settings and an untrained network in evaluation mode."""
    dataset = open_dataset(make_dataset(count=9))
    config = settle_network(
        TrainConfig(
            dir=dataset.root,
            encoder="test_resnet",
            encoder_weights="none",
            image_size=(32, 64),
            batch_size=2,
            num_of_workers=0,
            device="cpu",
            augmentation="none",
            **changes,
        )
    )
    spec = make_spec(config, dataset.annotations.class_names)
    torch.manual_seed(0)
    model = build(spec)
    return dataset, config, Segmenter(model.net, spec, (0.5,) * 3, (0.2,) * 3, model.multiple).eval()


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, {"images", "mean_dice", "soft_dice"}),
        ({"task": "per-class", "target": "cracks"}, {"images", "mean_dice"}),
        ({"architecture": "two-head"}, {"images", "mean_dice", "labels"}),
        ({"task": "classify-multilabel"}, {"images", "labels"}),
    ],
)
def test_test_images_are_scored_as_validation_images_are(make_dataset, changes, keys):
    dataset, config, network = parts_of(make_dataset, **changes)
    engine, names = make_engine(config), list(dataset.images[:5])
    scores = final_test(config, network, make_test_loader(config, dataset, names, 0, 1, False), engine, Interruption())
    assert scores["images"] == 5
    assert keys <= set(scores)
    valid = make_loaders(config, dataset, list(dataset.images[5:]), names, 0, 1, False)["valid"]
    assert final_test(config, network, valid, engine, Interruption()) == scores


def test_processes_share_the_test_images(make_dataset):
    dataset, config, network = parts_of(make_dataset)
    names, real = list(dataset.images[:3]), make_engine(config)

    def score(rank, processes, gather):
        engine = SimpleNamespace(device=real.device, autocast=real.autocast, gather=gather)
        loader = make_test_loader(config, dataset, names, rank, processes, False)
        return final_test(config, network, loader, engine, Interruption())

    gathered = []

    def gather(part):
        gathered.append(part)
        return list(gathered)

    # Two batches: the last of three processes has none, and here sees what the others have counted.
    found = [score(rank, 3, gather) for rank in range(3)]
    assert found[-1] == score(0, 1, lambda part: [part])
    assert [scores["images"] for scores in found] == [2, 3, 3]


def test_a_signal_ends_the_scoring(make_dataset):
    dataset, config, network = parts_of(make_dataset)
    interruption = Interruption()
    interruption.requested = True
    loader = make_test_loader(config, dataset, list(dataset.images), 0, 1, False)
    with pytest.raises(KeyboardInterrupt):
        final_test(config, network, loader, make_engine(config), interruption)
