"""Images are normalised as those that the encoder's published weights were trained on, for every encoder name."""

import csv
from pathlib import Path
from typing import get_args

import pytest
import timm
from segmentation_models_pytorch.encoders import encoders

from config import EncoderWeights
from utils.errors import InputError
from utils.models.factory import build, published_weights
from utils.models.normalisation import OF_IMAGENET, SYMMETRIC, of_channels, of_earlier_runs, of_weights, timm_name_of
from utils.models.spec import ModelSpec

# What SMP 0.4 gave with each encoder (_legacy_pretrained_settings.py in its repository), before it kept that on the network.
with open(Path(__file__).parent / "smp_normalisation.csv", newline="", encoding="utf-8") as table:
    OF_SMP = {
        (row["encoder"], row["weights"]): tuple(tuple(map(float, row[key].split())) for key in ("mean", "std"))
        for row in csv.DictReader(table)
    }


def spec(encoder: str, **changes) -> ModelSpec:
    return ModelSpec("unet", encoder, "multilabel", ("a",), **changes)


def test_the_table_has_all_weights_of_smp():
    assert set(OF_SMP) == {(name, weights) for name, its in encoders.items() for weights in its["pretrained_settings"]}
    assert {weights for _, weights in OF_SMP} == set(get_args(EncoderWeights))


def test_every_encoder_of_smp():
    wrong = {
        key: of_weights(*key)
        for key, (mean, std) in OF_SMP.items()
        if of_weights(*key) != (pytest.approx(mean, abs=1e-5), pytest.approx(std, abs=1e-5))
    }
    assert not wrong


def test_every_encoder_of_timm_with_each_of_its_weights():
    names = [*timm.list_models(), *timm.list_pretrained()]
    wrong = [
        name
        for name in names
        if (made_for := timm.get_pretrained_cfg(name)) and of_weights(f"tu-{name}") != (made_for.mean, made_for.std)
    ]
    assert not wrong
    assert len(names) > 2000


# Those that timm has under its own name too, from another hand.
@pytest.mark.parametrize("number", range(5))
def test_smp_and_timm_agree_about_efficientnet_lite(number):
    name = f"tf_efficientnet_lite{number}"
    assert of_weights(f"timm-{name}") == of_weights(spec(name).smp_encoder()) == SYMMETRIC


@pytest.mark.parametrize(
    ("encoder", "timm_name"),
    [
        ("tu-resnet18", "resnet18"),
        ("tu-tf_efficientnet_b0.ap_in1k", "tf_efficientnet_b0.ap_in1k"),
        ("timm-regnetx_002", "regnetx_002"),
        ("timm-res2net50_26w_4s", "res2net50_26w_4s"),
        ("timm-resnest14d", "resnest14d"),
        ("timm-gernet_s", "gernet_s"),
        ("timm-mobilenetv3_large_075", "tf_mobilenetv3_large_075"),
        ("timm-efficientnet-b0", None),
        ("timm-skresnet18", None),
        ("resnet18", None),
    ],
)
def test_names_that_smp_takes_from_timm(encoder, timm_name):
    assert timm_name_of(encoder) == timm_name
    if timm_name:
        assert of_weights(encoder)[0] == timm.get_pretrained_cfg(timm_name).mean


@pytest.mark.parametrize(
    ("encoder", "weights", "mean"),
    [
        ("xception", "imagenet", 0.5),
        ("tf_efficientnet_b0.ap_in1k", "imagenet", 0.5),
        ("tf_efficientnet_b0.aa_in1k", "imagenet", 0.485),
        ("efficientnet-b0", "advprop", 0.5),
        ("efficientnet-b0", "imagenet", 0.485),
        ("timm-efficientnet-b0", "noisy-student", 0.485),
        ("dpn68", "imagenet", 124 / 255),
    ],
)
def test_examples(encoder, weights, mean):
    assert of_weights(spec(encoder).smp_encoder(), weights).mean[0] == pytest.approx(mean)


def test_random_weights_take_the_encoders_own():
    network = build(spec("mobilenetv4_conv_small"))
    assert (network.mean, network.std) == OF_IMAGENET
    network = build(spec("test_resnet", channels=1))
    assert (network.mean, network.std) == ((0.5,), (0.5,))


def test_grey_takes_the_mean_of_the_colours():
    assert of_channels(OF_IMAGENET, 3) == OF_IMAGENET
    grey = of_channels(OF_IMAGENET, 1)
    assert grey == (pytest.approx((0.449,)), pytest.approx((0.226,)))


def test_runs_that_began_earlier_keep_what_they_had():
    assert of_earlier_runs("xception") == OF_IMAGENET
    assert of_earlier_runs("tu-test_resnet") == SYMMETRIC


@pytest.mark.parametrize(
    ("encoder", "names"),
    [
        ("resnet18", ("imagenet", "ssl", "swsl")),
        ("efficientnet-b0", ("imagenet", "advprop")),
        ("dpn92", ("imagenet+5k",)),
        ("test_resnet", ("imagenet",)),
        ("coatnet_0_224", ()),
    ],
)
def test_which_weights_are_published(encoder, names):
    assert published_weights(spec(encoder)) == names


@pytest.mark.parametrize(
    ("encoder", "weights", "message"),
    [
        ("dpn92", "imagenet", r"-encoder_weights imagenet: dpn92 has no such weights; choose imagenet\+5k, none or"),
        ("coatnet_0_224", "imagenet", "coatnet_0_224 has no such weights; choose none or a FILE"),
        ("tf_efficientnet_b0.nosuch", None, r"tf_efficientnet_b0 has no weights called nosuch; choose from .*ap_in1k"),
    ],
)
def test_weights_that_there_are_not(encoder, weights, message):
    with pytest.raises(InputError, match=message):
        build(spec(encoder), weights)
