"""The mean and std of the images that an encoder's published weights were trained on."""

from typing import NamedTuple

IMAGENET = "imagenet"  # the weights that most encoders have


class Normalisation(NamedTuple):
    """What is subtracted from a pixel and what the rest is divided by.

    Attributes:
        mean: of red, green and blue, in units of 0..1.
        std: likewise.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def text(self) -> str:
        """Return both in words, with three decimals."""
        mean, std = (",".join(f"{value:.3g}" for value in values) for values in self)
        return f"mean {mean} std {std}"


OF_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Pixels from -1 to 1, as in TensorFlow's Inception and in AdvProp.
SYMMETRIC = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# (pixel - (124, 117, 104)) * 0.0167, as MXNet's DPN has it; https://github.com/cypw/DPNs
OF_DPN = Normalisation((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

# The beginnings of SMP's encoders whose weights want other pixels than ImageNet's, whatever the weights are called. SMP
# gave these numbers with each encoder up to 0.4, and keeps them beside the weights, on the network, since.
_OTHERS = {
    "xception": SYMMETRIC,
    "inception": SYMMETRIC,
    "timm-tf_efficientnet_lite": SYMMETRIC,
    "dpn": OF_DPN,
}


def of_weights(encoder: str, weights: str = IMAGENET) -> Normalisation:
    """Return what the images of an encoder's published weights were normalised with; needs no network connection.

    Args:
        encoder: SMP's name, as ``ModelSpec.smp_encoder`` gives it.
        weights: SMP's name of the weights (``imagenet``, ``advprop``, ...); those of timm's have it in the encoder's.
    """
    import timm

    timm_name = timm_name_of(encoder)
    if timm_name is not None:
        made_for = timm.get_pretrained_cfg(timm_name)
        return OF_IMAGENET if made_for is None else Normalisation(tuple(made_for.mean), tuple(made_for.std))
    if weights == "advprop":
        return SYMMETRIC
    return next((its for begin, its in _OTHERS.items() if encoder.startswith(begin)), OF_IMAGENET)


def of_earlier_runs(encoder: str) -> Normalisation:
    """Return what this program normalised an encoder's images with before it knew each encoder's own.

    Runs whose checkpoints do not tell go on with it. ``encoder`` is SMP's name.
    """
    return of_weights(encoder) if encoder.startswith("tu-") else OF_IMAGENET


def timm_name_of(encoder: str) -> str | None:
    """Return timm's name of an encoder that SMP takes from timm; None for an encoder of SMP's own.

    SMP reads some of its former names that begin with ``timm-`` as timm's, see ``encoders.get_encoder`` there.
    """
    from segmentation_models_pytorch.encoders import is_equivalent_to_timm_universal

    if encoder.startswith("tu-"):
        return encoder[3:]
    if not is_equivalent_to_timm_universal(encoder):
        return None
    bare = encoder.removeprefix("timm-")
    return f"tf_{bare}" if "mobilenetv3" in bare else bare


def of_channels(normalisation: Normalisation, channels: int) -> Normalisation:
    """Return the normalisation of images of 1 (grey) or 3 channels; grey takes the mean of the colours'."""
    if channels == len(normalisation.mean):
        return normalisation
    mean, std = (sum(values) / len(values) for values in normalisation)
    return Normalisation((mean,) * channels, (std,) * channels)
