"""Every default of every command: one field a flag, with its unit and its reason; and every list of choices.

``utils.cli`` makes the flags from these fields (``-batch_size`` sets ``batch_size``), so this file is the only list of
defaults. A field without a default is a flag that must be given. A value comes from, last wins: the field's default,
the recipe (training only), the YAML file of ``-config``, the command line.

Flags that several commands share, or that ``-h`` shows under a heading of their own, are a base class ``...Flags``. A
command's own fields come first, then its bases in their order; a command may give a flag of a base another default.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

# What -version prints, and what run folders, weights files and scores say that they were made by.
PROJECT, VERSION = "steel-defects", "0.2.0"

# The choices of flags. Tables that implement them have exactly these names; tests/test_config.py checks it.

# Systems of one network, whose architecture is called as they are.
OneNetworkSystem = Literal["two-head", "shared-backbone"]
SystemKind = Literal["two-stage", "six-model", "ensemble", OneNetworkSystem]
# SMP's names, and those of the files in utils/models/architectures.
Architecture = Literal[
    "unet",
    "unetplusplus",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3plus",
    "pan",
    "manet",
    "upernet",
    "segformer",
    "fcn32s",
    "classifier",
    "patchcore",
    OneNetworkSystem,
]
MaskTask = Literal["multilabel", "binary", "multiclass", "per-class"]
LabelTask = Literal["classify-binary", "classify-multilabel"]  # of whole images
AnomalyTask = Literal["anomaly"]  # masks of whatever does not look like clean steel
Task = Literal[MaskTask, LabelTask, AnomalyTask]
# What SMP calls the published weights of its encoders; each has some of them.
EncoderWeights = Literal[
    "imagenet",
    "advprop",
    "noisy-student",
    "noisy-student-475",
    "ssl",
    "swsl",
    "instagram",
    "imagenet+5k",
    "imagenet+background",
]
Loss = Literal["dice_bce", "bce", "dice", "tversky", "focal", "lovasz", "cross_entropy"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["f32", "bf16", "f16"]
# What trained networks run in: int8 is OpenVINO's, by a file that Export_model.py -int8 makes.
RunPrecision = Literal["auto", Precision, "int8"]
Backend = Literal["auto", "openvino", "onnxruntime", "torch"]
ExportFormat = Literal["onnx", "openvino"]
# What labels are kept in outside of dataset folders.
LabelFormat = Literal["index-masks", "colour-masks", "coco", "yolo", "cvat", "labelstudio", "labelme", "supervisely"]
StoredTta = Literal["none", "flips"]  # what a system file may say
ServeTta = Literal["stored", StoredTta]
Tta = Literal[ServeTta, "d4"]
BitDepth = Literal["auto", "8", "10", "12", "14", "16"]
Side = Literal["train", "test"]  # of a dataset folder
CoilPositions = Literal["start_m", "time", "count", "none"]
Engine = Literal["local", "ray", "torchrun", "slurm"]


class Url(str):
    """Where files lie that are on no disk of this machine: ``s3://BUCKET/FOLDER``, and whatever else fsspec knows."""


def flag(
    help: str,
    default: Any = ...,
    low: float | None = None,
    high: float | None = None,
    positional: bool = False,
    packed: bool = False,
) -> Any:
    """Return one field of a command.

    Args:
        help: unit and reason, for ``-h``.
        default: its value when it is left out; without one it is required.
        low: smallest value.
        high: largest value.
        positional: given as a word without a flag.
        packed: a folder that may also be the URL of a packed dataset; it is a ``Url`` until the command has called
            ``utils.data.packed.with_local_folder``, and a path from then on.
    """
    metadata = {"help": help, "low": low, "high": high, "positional": positional, "packed": packed}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class MachineFlags:
    """Where a network runs."""

    heading: ClassVar = "machine"

    device: Device = flag("auto takes a GPU when there is one", "auto")
    threads: int = flag("CPU threads of the network; 0: all cores", 0, low=0, high=1024)


@dataclass(frozen=True, kw_only=True)
class InferenceFlags(MachineFlags):
    """How and where a trained network runs."""

    heading: ClassVar = "machine"

    batch_size: int = flag("images per forward pass; more than 4 gains nothing on CPUs", 4, low=1)
    backend: Backend = flag(
        "what runs the network; auto: the fastest whose masks agree with torch f32 (Dice 0.999 in every class)", "auto"
    )
    precision: RunPrecision = flag(
        "auto: as for backend; bf16 on CPUs and GPUs that have it; f16 on GPUs; int8: by OpenVINO, with the .zip that "
        "Export_model.py -int8 puts beside the weights",
        "auto",
    )


@dataclass(frozen=True, kw_only=True)
class ClassMapFlags:
    """Which class of a weights file is which of the data."""

    heading: ClassVar = "weights"

    class_map: tuple[str, ...] | None = flag(
        "WEIGHTS=DATA,..: names of classes in the weights file and what the data calls them, as 1=pits,2=cracks; none: "
        "both have the same names",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class WeightsFlags(ClassMapFlags):
    """Which trained network, or system of networks, is used."""

    heading: ClassVar = "weights"

    weights_dir: Path = flag(
        "folder of weights files (a run folder too), one .pth file or one system file (.json); several, as "
        "A.pth,B.pth,RUN: an ensemble, the mean of their logits",
        Path("weights"),
    )
    weights: str | None = flag("name of the weights file in weights_dir when it holds several", None)


@dataclass(frozen=True, kw_only=True)
class DecisionFlags:
    """What overrules the thresholds and areas of the weights file: a value, or one for each class in order."""

    heading: ClassVar = "decision"

    threshold: float | tuple[float, ...] | None = flag(
        "probability from which a pixel counts as defect, 0..1; a value, or one a class, as 0.5,0.6,0.4,0.5; none: the "
        "weights file's",
        None,
        low=0,
        high=1,
    )
    high_threshold: float | tuple[float, ...] | None = flag(
        "probability that a connected defect must reach somewhere, 0..1; 0: not asked; a value, or one a class; none: "
        "the weights file's",
        None,
        low=0,
        high=1,
    )
    min_area: int | tuple[int, ...] | None = flag(
        "smallest connected defect in pixels; a value, or one a class, as 500,700,1100,2800; none: the weights file's",
        None,
        low=0,
    )
    max_area: int | tuple[int, ...] | None = flag(
        "largest connected defect in pixels; 0: no limit; a value, or one a class; none: the weights file's",
        None,
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class ViewFlags:
    """What a network sees of an image, and how often."""

    heading: ClassVar = "tiles and test-time augmentation"

    tile: tuple[int, int] | None = flag(
        "H,W in pixels of overlapping tiles that a network of masks sees an image in, at best the -crop of its "
        "training: more work, and better borders; none: the whole image",
        None,
    )
    tta: Tta = flag(
        "flips: mean of the image, its mirror images and their mirror image, 4 times the work; d4: these and their "
        "quarter turns, for square images, 8 times; stored: what the system file says, else none",
        "stored",
    )


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """How images are read."""

    heading: ClassVar = "machine"

    num_of_workers: int | None = flag("threads that read images, or auto", None, low=0)


@dataclass(frozen=True, kw_only=True)
class PixelFlags:
    """How images with more than 8 bits are read."""

    heading: ClassVar = "images"

    bit_depth: BitDepth = flag(
        "bits of the camera, for images with more than 8 bits: 12 makes 4095 white; auto: what the weights file says, "
        "else the smallest that holds the largest number of all images",
        "auto",
    )


@dataclass(frozen=True, kw_only=True)
class NetworkFlags(ClassMapFlags):
    """What network is trained, and what it starts from."""

    heading: ClassVar = "network"

    architecture: Architecture = flag("decoder; U-Net is the published choice", "unet")
    encoder: str = flag(
        "any SMP or timm encoder (tu-NAME for timm's); of -system ensemble one for each network, as resnet18,resnet34",
        "resnet50",
    )
    encoder_weights: str = flag(
        "imagenet, none or a FILE to start from: weights of this project, or an encoder's as its library gives them "
        "out; some encoders have others too: advprop, noisy-student, ssl, swsl, instagram, imagenet+5k, "
        "imagenet+background",
        "imagenet",
    )
    init_encoder: Path | None = flag(
        "weights FILE whose encoder to start from, as of a defect/no-defect classifier", None
    )
    task: Task = flag(
        "multilabel: a sigmoid per class, classes may overlap; binary: any defect; multiclass: softmax with "
        "background; per-class: -target alone; classify-binary: image with any defect; classify-multilabel: which "
        "classes an image has; anomaly: whatever does not look like the clean images, without labels",
        "multilabel",
    )
    target: str | None = flag("class that -task per-class finds, by its name", None)
    dense: tuple[int, ...] | None = flag(
        "sizes of layers between encoder and labels of whole images; 1024,512,64 is published", None
    )
    dropout: float | tuple[float, ...] = flag(
        "share of features left out before each of those layers and the last one, 0 up to 1; a value, or one a layer: "
        "0.5,0.3,0.3,0 for three layers of -dense",
        0.3,
        low=0,
        high=0.99,
    )
    decoder_channels: tuple[int, ...] | None = flag(
        "channels of the decoder's blocks, coarsest first, or the one number that deeplabv3plus, pan and upernet "
        "take; 128,64,32,16,16 is half of U-Net's 256,128,64,32,16: quicker to train and predict; none: SMP's",
        None,
    )
    downsample: int = flag(
        "1, 2 or 4: images of any size are made smaller by this before the network, and its masks as large as the "
        "image again behind it; 2 takes about a quarter of the time, and finds small defects less well",
        1,
    )
    channels: int = flag("image channels the network sees; 3 fits ImageNet weights, grey images are repeated", 3)


@dataclass(frozen=True, kw_only=True)
class SystemFlags:
    """Networks that work together."""

    heading: ClassVar = "system of networks"

    system: SystemKind | None = flag(
        "train all networks of a system one after another and write its system file; none: one network", None
    )
    gate: Literal["hard", "soft"] = flag(
        "of a system; hard: no mask below the calibrated probability; soft: the less likely a class, the larger its "
        "defects must be",
        "hard",
    )
    classifier_encoder: str | None = flag("encoder of a system's classifiers; none: as -encoder", None)
    classifier_size: tuple[int, int] | None = flag(
        "H,W in pixels that images are resized to for a system's classifiers; none: as -image_size", None
    )
    classifier_epochs: int | None = flag("epochs of a system's classifiers; none: as -num_epochs", None, low=1)


@dataclass(frozen=True, kw_only=True)
class ImageFlags(PixelFlags):
    """Which images a network is trained on, and how it sees them."""

    heading: ClassVar = "images"

    image_size: tuple[int, int] | None = flag(
        "H,W in pixels that images are resized to, or native; 256,768 is the published size", (256, 768)
    )
    crop: tuple[int, int] | None = flag("H,W in pixels of random training crops, or native for the whole image", None)
    start_size: tuple[int, int] | None = flag(
        "H,W in pixels that training images are made smaller to in the first half of the epochs; then they grow, and "
        "have full size in the last fifth (progressive resizing): more epochs in the same time; none: always full "
        "size",
        None,
    )
    crop_defect: float = flag("share of crops placed on a defect, 0..1", 0.5, low=0, high=1)
    subset: Literal["balanced", "all"] = flag(
        "balanced: about per_class images of each class, as published; all: every image", "balanced"
    )
    per_class: int = flag("images per class of the balanced subset; 250 x 4 classes = the published 1,000", 250, low=1)
    images_with: Literal["auto", "anything", "defect", "target"] = flag(
        "images to use; auto: those with -target for -task per-class, else all", "auto"
    )
    valid_fraction: float = flag(
        "share of the images kept for validation, 0..1; with -test_fraction, of those that it leaves",
        0.2,
        low=0.01,
        high=0.9,
    )
    test_fraction: float = flag(
        "share of the images that nothing is learnt, chosen or calibrated on, scored once when the training ends, "
        "0..1; 0.1 beside -valid_fraction 0.2 makes 72/18/10",
        0.0,
        low=0,
        high=0.9,
    )
    group_duplicates: bool = flag("keep near-duplicate images on one side of the split, else validation flatters", True)
    split: Path | None = flag(
        "split.csv of an earlier run to use again, so that runs can be compared; its images are used, so -subset, "
        "-per_class, -valid_fraction and -test_fraction are refused beside it; of -task anomaly, its groups say which "
        "images are of one coil",
        None,
    )
    augmentation: Literal["published", "flips", "d4", "strong", "none"] = flag(
        "published: flips, shift/scale, light, grid and optical distortion; d4: flips, quarter turns, light, where "
        "defects may lie either way; strong: as d4, with more of what published has and small turns",
        "published",
    )
    blackout: float = flag("probability that a defect is painted black and its label removed, 0..1", 0.0, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class FoldFlags:
    """Several networks, each trained on all images but those of its own part."""

    heading: ClassVar = "folds"

    folds: int | None = flag(
        "part the training images into so many folds, and train a network on all but each: every image is answered "
        "once, by a network that has not learnt it (oof.csv); none: one network",
        None,
        low=2,
        high=100,
    )
    oof: Literal["table", "probabilities"] = flag(
        "of -folds; probabilities: write the answers as pictures of probabilities too, into oof/ of the run folder",
        "table",
    )


@dataclass(frozen=True, kw_only=True)
class TeacherFlags:
    """Trained networks whose answers a network learns from, beside labels and where there are none."""

    heading: ClassVar = "teacher"

    teacher: tuple[str, ...] | None = flag(
        "FILE_OR_RUN,..: weights files, system files or run folders whose probabilities are learnt beside the labels "
        "(data distillation); a run of -folds answers each of its images by the network that has not learnt it",
        None,
    )
    unlabelled: Path | None = flag(
        "folder of images without labels to train on too, by the answers of -teacher alone", None
    )
    accept: Literal["agreed", "all"] = flag(
        "which images of -unlabelled are learnt; agreed: those of which the teacher says the same turned and mirrored, "
        "and its gate, if it has one, too; pixels where both differ count for nothing",
        "agreed",
    )
    least_agreement: float = flag(
        "of -accept agreed: Dice of the masks of both halves of the views, 0..1", 0.8, low=0, high=1
    )
    unlabelled_share: float | None = flag(
        "largest share of images without labels in what is learnt, 0..1: labelled images are repeated, each with a new "
        "augmentation, until that holds; none: as many as were accepted",
        None,
        low=0.01,
        high=0.99,
    )
    teacher_weight: float = flag(
        "share of the teacher's answer in what is learnt of a labelled image, 0..1; the rest are its labels",
        0.5,
        low=0,
        high=1,
    )
    teacher_tta: Tta = flag(
        "how often the teacher looks at an image: none, flips or d4; stored: what its system file says, else none",
        "stored",
    )
    teacher_tile: tuple[int, int] | None = flag(
        "H,W in pixels of overlapping tiles that the teacher sees an image in; none: the whole image", None
    )


@dataclass(frozen=True, kw_only=True)
class AnomalyFlags:
    """How clean steel is remembered, and from which distance on something else is an anomaly."""

    heading: ClassVar = "anomaly (docs/anomaly.md)"

    weights_dir: Path | None = flag(
        "of -task anomaly: weights file or run folder whose encoder is used, instead of -encoder and -encoder_weights; "
        "none, and no -encoder: the default of weights/",
        None,
    )
    false_alarms: float = flag(
        "of -task anomaly: share of clean images that may give an alarm, above 0 and below 1; 0.01: one of 100",
        0.01,
        low=0,
        high=1,
    )
    memory: int = flag(
        "of -task anomaly: looks of clean steel that are told apart; 1: none (Mahalanobis distance, as PaDiM); hundreds"
        " show less well where a defect is",
        20,
        low=1,
        high=20_000,
    )


@dataclass(frozen=True, kw_only=True)
class OptimisationFlags:
    """Loss, optimizer and schedule."""

    heading: ClassVar = "optimisation"

    loss: Loss = flag("loss on logits; dice_bce is the published one; classifiers have bce", "dice_bce")
    dice_weight: float = flag("share of Dice in dice_bce, 0..1; the rest is BCE", 0.5, low=0, high=1)
    dice_of: Literal["batch", "image"] = flag(
        "batch: Dice of dice_bce over the images of a step, as published; image: of each image and class, as the "
        "competition counts, which spares clean images false positives",
        "batch",
    )
    tversky_fp: float = flag("Tversky weight of false positives; 0.1 favours recall", 0.1, low=0)
    tversky_fn: float = flag("Tversky weight of false negatives", 0.9, low=0)
    label_weight: float = flag(
        "weight of the labels' loss beside the masks' where a network has both heads", 0.5, low=0
    )
    class_weights: tuple[str, ...] | None = flag(
        "what a pixel (of classifiers an image) of each class counts against background: W1,W2,..; balanced: from the "
        "labels",
        None,
    )
    optimizer: Literal["adam", "adamw", "muon"] = flag(
        "adam is the published one; muon: orthogonalised momentum for convolutions and other matrices, AdamW for the "
        "rest; from random weights fewer epochs for the same score, each a bit longer",
        "adam",
    )
    lr_encoder: float = flag("learning rate of the encoder; below the decoder's, since it starts trained", 1e-3, low=0)
    lr_decoder: float = flag("learning rate of decoder and head", 1e-2, low=0)
    weight_decay: float = flag("decoupled weight decay of adamw and muon, L2 of adam", 0.0, low=0)
    schedule: Literal["plateau", "onecycle", "cosine", "constant"] = flag(
        "learning rate schedule; plateau lowers it when validation loss stalls", "plateau"
    )
    plateau_factor: float = flag("what plateau multiplies the rate by", 0.15, low=0.0001, high=0.9999)
    plateau_patience: int = flag("epochs without gain before plateau lowers the rate", 2, low=0)
    num_epochs: int = flag("passes over the training images", 20, low=1)
    early_stop: int = flag("epochs without a better Dice before training stops; 0: never", 0, low=0)
    batch_size: int = flag("images per step and process", 8, low=1)
    accumulate: int = flag("steps whose gradients are averaged into one update", 1, low=1)
    clip_norm: float = flag("largest gradient norm; 0: unlimited", 0.0, low=0)
    ema: float = flag(
        "decay per step of the weights' moving average that is validated and published; 0: off", 0.0, low=0, high=1
    )
    swa: int = flag(
        "last epochs whose weights are averaged (stochastic weight averaging); the last epoch is validated with the "
        "mean, which is published where it is best; 0: off",
        0,
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingDecisionFlags:
    """The decision that validation scores and the weights file carries: a value, or one for each class in order."""

    heading: ClassVar = "decision"

    threshold: float | tuple[float, ...] = flag(
        "probability from which a pixel counts as defect, 0..1; a value, or one a class", 0.5, low=0, high=1
    )
    high_threshold: float | tuple[float, ...] = flag(
        "probability that a connected defect must reach somewhere, 0..1, against false alarms (hysteresis "
        "thresholding); 0: not asked; a value, or one a class",
        0.0,
        low=0,
        high=1,
    )
    min_area: int | tuple[int, ...] = flag(
        "smallest connected defect in pixels of the original image; a value, or one a class, as 500,700,1100,2800",
        0,
        low=0,
    )
    max_area: int | tuple[int, ...] = flag(
        "largest connected defect in pixels of the original image; 0: no limit; a value, or one a class", 0, low=0
    )


@dataclass(frozen=True, kw_only=True)
class TrainingMachineFlags(MachineFlags):
    """How and where a network is trained."""

    heading: ClassVar = "machine"

    num_of_workers: int | None = flag(
        "processes that load images; auto: a quarter of the cores, beside a GPU all but one", None, low=0
    )
    cache: Literal["none", "ram", "disk"] = flag(
        "decode images once instead of every epoch: ram (shared memory) or disk (DIR/.cache, used again by later "
        "runs); the samples stay the same",
        "none",
    )
    precision: Precision = flag("f32; bf16 on CPUs and GPUs that have it; f16 on GPUs", "f32")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(
    NetworkFlags,
    SystemFlags,
    ImageFlags,
    FoldFlags,
    TeacherFlags,
    AnomalyFlags,
    OptimisationFlags,
    TrainingDecisionFlags,
    TrainingMachineFlags,
):
    """What ``Train.py`` does."""

    dir: Path | None = flag(
        "dataset folder: train_images/ and train.csv; or a packed one, in a folder or at a URL; needed unless -resume",
        None,
        packed=True,
    )
    out: Path | None = flag("run folder to write; none: runs/ARCHITECTURE-ENCODER-DATE-TIME", None)
    resume: Path | None = flag("run folder to continue after an interruption; its own settings are used", None)
    recipe: str = flag(
        "named settings: balanced-1000, one-cycle or muon, see docs/training.md; other flags override it",
        "balanced-1000",
    )
    seed: int = flag("one number that fixes split, order, augmentation and initial weights", 42, low=0, high=2**31 - 1)
    top_k: int = flag("best checkpoints to keep beside last.pth", 1, low=1)


# What -split says already: refused beside it.
SAID_BY_SPLIT = ("subset", "per_class", "valid_fraction", "test_fraction")

# Named settings of training. A recipe sets fields of TrainConfig; flags and -config override it.
RECIPES: dict[str, dict[str, Any]] = {
    # The published recipe, spelled out so that a change of a default cannot change it.
    "balanced-1000": {
        "architecture": "unet",
        "image_size": (256, 768),
        "subset": "balanced",
        "per_class": 250,
        "augmentation": "published",
        "loss": "dice_bce",
        "optimizer": "adam",
        "lr_encoder": 1e-3,
        "lr_decoder": 1e-2,
        "schedule": "plateau",
        "plateau_factor": 0.15,
        "plateau_patience": 2,
        "batch_size": 8,
    },
    # Every image, no resizing, one warm-up and decay over the whole run: what trains well from random weights.
    "one-cycle": {
        "image_size": None,
        "subset": "all",
        "augmentation": "flips",
        "loss": "dice_bce",
        "optimizer": "adamw",
        "weight_decay": 1e-2,
        "lr_encoder": 2e-3,
        "lr_decoder": 2e-3,
        "schedule": "onecycle",
        "num_epochs": 14,
        "batch_size": 8,
    },
}
# The same by Muon, which from random weights needs far fewer epochs than AdamW
# (benchmarks/results/recipes.md). Its update takes long on CPUs, so that more images share one, at rates to match.
RECIPES["muon"] = {
    **RECIPES["one-cycle"],
    "dice_of": "image",
    "optimizer": "muon",
    "lr_encoder": 4e-3,
    "lr_decoder": 4e-3,
    "batch_size": 16,
}


@dataclass(frozen=True, kw_only=True)
class ShardFlags:
    """How millions of images are predicted in shards, by one machine or many."""

    heading: ClassVar = "shards (docs/scale.md)"

    engine: Engine | None = flag(
        "what runs the shards; local: this process; none: no shards, but local for URLs and manifests", None
    )
    workers: int = flag(
        "of -engine ray: shards at once, of slurm: jobs; 0: ray leaves a core of each machine free, slurm takes 1",
        0,
        low=0,
    )
    shard_size: int = flag("images of a shard, which is read, predicted and written as a whole", 1000, low=1)
    slurm: tuple[str, ...] | None = flag(
        "KEY=VALUE,..: what submitit asks Slurm for, as slurm_partition=gpu,timeout_min=600", None
    )


@dataclass(frozen=True, kw_only=True)
class PredictConfig(WeightsFlags, DecisionFlags, ViewFlags, PixelFlags, InferenceFlags, ShardFlags):
    """What ``Predict_masks.py`` does."""

    dir: Path | None = flag(
        "dataset folder; test_images/ is read, or train_images/ when there is none; or a packed one, in a folder or at "
        "a URL",
        None,
        packed=True,
    )
    images: Path | Url | None = flag(
        "a folder of images or a single image, instead of -dir; or a URL of a folder, or a manifest (.csv, .parquet)",
        None,
    )
    num_of_images: int = flag("images to predict, in order of their names; 0: all", 0, low=0)
    out: Path | Url | None = flag("folder for the results; none: DIR/results", None)
    save: tuple[str, ...] = flag(
        "what to write: overlays,masks,heatmaps (probabilities in colours),submission,defects,labels (probabilities of "
        "the whole image, where a network judges it)",
        ("overlays", "submission", "defects"),
    )
    compile: bool = flag(
        "torch.compile for the torch backend: a minute at the start for each size of images, faster after it", False
    )


@dataclass(frozen=True, kw_only=True)
class MapCoilConfig(WeightsFlags, DecisionFlags, ViewFlags, PixelFlags, InferenceFlags):
    """What ``Map_coil.py`` does."""

    dir: Path | None = flag(
        "folder of the coil: images (in it, in test_images/ or in train_images/), and positions.csv, speed.csv where "
        "there are; none: -defects alone",
        None,
    )
    defects: Path | Url | None = flag(
        "table of defects instead of a network: defects.csv of an earlier prediction, the folder of a prediction in "
        "shards, or boxes of any detector (image or camera,frame and x0,y0,x1,y1)",
        None,
    )
    where: tuple[str, ...] | None = flag(
        "COLUMN=VALUE,..: rows of -defects that count, where the table holds several coils or sides", None
    )
    frame_size: tuple[int, int] | None = flag(
        "H,W in pixels of all images, where -defects comes without them; none: as far as the boxes reach", None
    )
    coil: Path | None = flag(
        "YAML file that describes the coil: scale, cameras, strip, rolls, rules; none: pixels, and no verdict", None
    )
    out: Path | None = flag("folder for the map; none: DIR/coil_map, or coil_map beside the table of -defects", None)
    join_mm: float | None = flag(
        "largest gap in millimetres between two parts of one defect; none: that of the file of -coil, else two pixels",
        None,
        low=0,
        high=10_000,
    )
    keep_static: bool = flag(
        "keep static marks (dirt on a lens, a fixed reflection) on the map, where they are left out else", False
    )
    against: Path | None = flag(
        "map of an earlier stage of the strip, a folder that Map_coil.py wrote: says which defects were there already",
        None,
    )
    truth: Path | None = flag("truth.json of a drawn coil, or a table of the true defects: scores the map", None)
    crops: int = flag("pictures of defects that the page holds, the gravest first; 0: none", 300, low=0, high=2000)
    num_of_images: int = flag("images to map, in order of their names; 0: all", 0, low=0)


@dataclass(frozen=True, kw_only=True)
class CalibrationFlags:
    """How thresholds and areas are chosen on the images."""

    heading: ClassVar = "calibration"

    calibrate: bool = flag(
        "choose each class's thresholds and areas by these images, and write them into the weights file", False
    )
    appearance: bool = flag(
        "write how these images look into the weights file, by which Watch_line.py and Predict_masks.py tell others; "
        "its thresholds stay, unless with -calibrate",
        False,
    )
    area_limits: Literal["search", "percentiles", "keep"] = flag(
        "of -calibrate; search: the areas that are best; percentiles: 2nd and 98th of the labels trained on, if "
        "better; keep: those in use",
        "search",
    )
    percentiles_of: Literal["defect", "image"] = flag(
        "of -area_limits percentiles; defect: areas of connected defects, which is what limits bound; image: a class's "
        "area in an image, as published",
        "defect",
    )
    guard_areas: bool = flag(
        "of -calibrate for the best mean Dice: no smallest area that hides more than 5 % of the labelled defects, each "
        "group of copies weighing the same; other steel may have smaller ones",
        True,
    )
    false_alarms: float | None = flag(
        "of -calibrate: the best recall with at most so many predicted defects per 1,000 clean images; none: the best "
        "mean Dice",
        None,
        low=0,
    )
    folds: int = flag(
        "of -calibrate: parts of the images, each scored with what the others chose, for a gain that is honest",
        5,
        low=3,
        high=100,
    )
    force: bool = flag(
        "of -calibrate: write what was chosen though it is no better than an empty prediction (predicting nothing)",
        False,
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(CalibrationFlags, WeightsFlags, DecisionFlags, ViewFlags, PixelFlags, InferenceFlags):
    """What ``Evaluate.py`` does."""

    dir: Path = flag(
        "labelled dataset folder: train_images/ and train.csv; of -split test-images: test_images/ and "
        "test_labels.csv; or a packed one, in a folder or at a URL",
        packed=True,
    )
    split: Literal["valid", "train", "all", "test", "test-side", "test-images", "out-of-fold"] = flag(
        "images to score: a side of the run's split.csv, test-side being its test side; all in train_images/; "
        "test-images: those in test_images/; test: whichever of these two there is; out-of-fold: of a run of -folds, "
        "each image by the network that has not learnt it",
        "valid",
    )
    compare: tuple[str, ...] | None = flag(
        "RUN1,RUN2,..: networks to compare on the same images instead of scoring one: run folders, weights files, "
        "system files; the others are compared with the first",
        None,
    )
    num_of_images: int = flag("images to score, in order of their names; 0: all", 0, low=0)
    out: Path | None = flag("folder for report, scores and tables; none: DIR/evaluation", None)
    resamples: int = flag(
        "times that the images are drawn again for the 95 % interval of the Dice; 0: no interval",
        2000,
        low=0,
        high=100_000,
    )
    examples: int = flag(
        "worst and best images that the report shows, of each; 0: no pictures in it", 12, low=0, high=100
    )
    seed: int = flag("fixes the drawing of resamples, and the parts of -calibrate", 42, low=0, high=2**31 - 1)
    precision: RunPrecision = flag(
        "f32, so that scores do not depend on the machine; auto: as for backend; bf16 on CPUs and GPUs that have it; "
        "f16 on GPUs; int8: by OpenVINO, with the file that Export_model.py -int8 puts beside the weights",
        "f32",
    )


@dataclass(frozen=True, kw_only=True)
class ExportConfig(WeightsFlags, PixelFlags):
    """What ``Export_model.py`` does."""

    format: ExportFormat = flag(
        "onnx: one .onnx file that many programs read; openvino: .xml and .bin, fastest on CPUs", "onnx"
    )
    precision: Literal["f32", "f16"] = flag(
        "of the numbers in the file; f16 halves it, the computing stays f32 or what the program that runs it takes",
        "f32",
    )
    int8: bool = flag(
        "compute in 8-bit integers, for openvino; needs -dir or -images to calibrate on, refused when Dice falls by "
        "more than 0.005 and -max_drop, or a probability of a whole image moves by more than 0.05",
        False,
    )
    max_drop: float = flag(
        "of -int8: layers stay in floating point until the mean Dice on images falls by no more than this",
        0.002,
        0.0,
        1.0,
    )
    max_minutes: float = flag(
        "of -int8: for choosing these layers; then what is found until then is compared", 10.0, low=0.0
    )
    dir: Path | None = flag(
        "dataset folder whose images, and labels if there are any, the exported network is compared on", None
    )
    images: Path | None = flag(
        "a folder of images or a single image to compare on; with neither, synthetic strips", None
    )
    num_of_images: int | None = flag(
        "images to compare on; none: 16, and 128 with -int8, which calibrates on as many others and chooses layers on "
        "as many again",
        None,
        low=1,
    )
    out: Path | None = flag("folder for the files; none: beside the weights file", None)
    weights_dir: Path = flag(
        "folder of weights files (a run folder too) or one .pth file; several, as A.pth,B.pth,RUN: an ensemble",
        Path("weights"),
    )


@dataclass(frozen=True, kw_only=True)
class AccessFlags:
    """Who may come in."""

    heading: ClassVar = "access"

    host: str = flag("address to listen on; another than this computer's own needs -token or -insecure", "127.0.0.1")
    port: int = flag("port to listen on; 0: any that is free", 7860, low=0, high=65535)
    token: str | None = flag(
        "word of 16 letters or more that every caller has to send; none: STEEL_SERVE_TOKEN of the environment, else "
        "no word",
        None,
    )
    insecure: bool = flag("let everybody in who reaches -host, without -token", False)
    origins: tuple[str, ...] | None = flag(
        "web pages of other origins that browsers may call the API from, as https://line3.example.com; none: no others",
        None,
    )
    proxies: tuple[str, ...] | None = flag(
        "addresses or networks of proxies whose X-Forwarded-Host, -Proto and -For are believed, as 10.0.0.5; none: "
        "nobody's",
        None,
    )
    callbacks: tuple[str, ...] | None = flag(
        "sites that may be told when a job is done, as https://mes.example.com; none: a job may name no address", None
    )
    root_path: str | None = flag(
        "path below which a proxy shows the server, as /steel, whether it hands the path on or leaves it out; none: /",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class RequestFlags:
    """How much one request may ask for."""

    heading: ClassVar = "limits of one request"

    max_images: int = flag("images in a request", 32, low=1)
    max_mb: int = flag("megabytes of a request, all images together", 128, low=1, high=1024)
    max_pixels: int = flag(
        "height times width of an image, a side under 128 counting as 128; line scans of 12000x2048 and 16384x1024 "
        "fit; an image of more than 4 million is seen in tiles, and takes some 40 bytes a pixel",
        32_000_000,
        low=1024,
    )
    max_seconds: int = flag(
        "seconds from the first byte of a request to its answer, and as many more for every 4 million pixels of its "
        "images",
        60,
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class QueueFlags:
    """How much the server takes on at once."""

    heading: ClassVar = "load"

    queue: int = flag(
        "images accepted and not yet answered, of all requests together; more are turned away with Retry-After",
        64,
        low=1,
    )
    wait_ms: int = flag(
        "milliseconds that an image may wait for others to share its batch; alone it does not wait", 5, low=0, high=1000
    )


@dataclass(frozen=True, kw_only=True)
class ServeConfig(AccessFlags, RequestFlags, QueueFlags, WeightsFlags, DecisionFlags, PixelFlags, InferenceFlags):
    """What ``Serve.py`` does."""

    dir: Path | None = flag(
        "folder of images that the page lets people browse, a dataset folder too; none: samples and uploads only", None
    )
    coil: Path | None = flag("folder that Map_coil.py wrote; its page is shown at /coil", None)
    class_names: tuple[str, ...] | None = flag(
        "classes that people may give to a defect on the page beside those of the weights, comma separated; none: no "
        "others",
        None,
    )
    save: Path | None = flag(
        "folder to keep visits, reviews, and each request's images and answer in; none: nothing is kept", None
    )
    tta: ServeTta = flag(
        "flips: mean of the image, its mirror images and their mirror image, 4 times the work; stored: what the "
        "system file says, else none",
        "stored",
    )
    tile: tuple[int, int] | None = flag(
        "H,W in pixels of overlapping tiles that a network of masks sees an image in; none: images of more than 4 "
        "megapixels in tiles of 1088x1088, all others whole",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class PageFlags:
    """The service's own address."""

    heading: ClassVar = "page, metrics and pushed frames"

    http: str | None = flag(
        "HOST:PORT of the live page, /healthz, /metrics and pushed frames; another HOST than this computer's own needs "
        "-token or -insecure; none: no such server",
        None,
    )
    token: str | None = flag(
        "word of 16 letters or more that every caller has to send; none: STEEL_SERVE_TOKEN of the environment, else "
        "no word",
        None,
    )
    insecure: bool = flag("let everybody in who reaches -http, without -token", False)
    max_mb: int = flag("megabytes of a pushed frame", 128, low=1, high=1024)


@dataclass(frozen=True, kw_only=True)
class SpoolFlags:
    """What is kept until the sinks have it."""

    heading: ClassVar = "store and forward"

    spool: Path = flag("folder of the events that sinks have not got yet, on a local disk", Path("line_spool"))
    spool_days: float = flag(
        "days of service after which an event is dropped that a sink has not got; counted", 7.0, low=0.001, high=3650
    )
    spool_gb: float = flag("GB of the spool, beyond which the oldest events are dropped; counted", 2.0, low=0.001)
    drain_s: float = flag("seconds that SIGTERM gives frames and sinks to finish", 20.0, low=0, high=600)


@dataclass(frozen=True, kw_only=True)
class OverloadFlags:
    """What happens when too many frames come, or none."""

    heading: ClassVar = "load"

    shed: Literal["newest", "late"] = flag(
        "which frames are not inspected when too many come; newest: those that come while -queue wait; late: those "
        "that waited longer than -late_ms. Each gets an event NO_VERDICT. Files of folder:// wait where they "
        "lie instead",
        "newest",
    )
    queue: int = flag("frames that may wait before the network", 64, low=1, high=10_000)
    late_ms: int = flag("milliseconds after which a frame counts as late", 2000, low=1)
    stale_s: float = flag("seconds without a frame after which the state is starved", 10.0, low=0.1)


@dataclass(frozen=True, kw_only=True)
class WatchConfig(PageFlags, SpoolFlags, OverloadFlags, WeightsFlags, DecisionFlags, PixelFlags, InferenceFlags):
    """What ``Watch_line.py`` does."""

    line_source: tuple[str, ...] = flag(
        "where frames come from, several with commas: folder://PATH, gige://SERIAL, u3v://SERIAL, rtsp://ADDRESS, "
        "video://FILE, push:// (to -http), replay://FOLDER?rate=47"
    )
    sinks: tuple[str, ...] | None = flag(
        "where events go, several with commas: mqtt://HOST/TOPIC, opcua://HOST:PORT, modbus://HOST:PORT, s7://HOST, "
        "https://ADDRESS (a webhook), csv://FOLDER, parquet://FOLDER, images://FOLDER?gb=20; none: the page alone",
        None,
    )
    line: str = flag("name of the line, for topics and pages", "line")
    rules: Path | None = flag("YAML file that says what is NG; none: any defect", None)
    coil: Path | None = flag(
        "YAML file of Map_coil.py by whose rules a coil is graded when the next one begins; none: NG when a frame is",
        None,
    )
    coil_id: str | None = flag("coil that is on the line at the start; none: that of the last run, if it had one", None)
    drift: bool = flag("watch whether the images still look like those that the network learnt from", True)
    drift_off: tuple[str, ...] | None = flag(
        "properties that are not watched: brightness, contrast, sharpness, features, entropy, defects", None
    )
    drift_limit: float = flag(
        "how many standard errors the mean of the last 500 frames may be off before an alarm; more: fewer alarms",
        4.5,
        low=3,
        high=100,
    )
    max_pixels: int = flag("height times width of a frame; larger ones get NO_VERDICT", 32_000_000, low=1024)
    tile: tuple[int, int] | None = flag(
        "H,W in pixels of overlapping tiles that a network of masks sees a frame in; none: frames of more than 4 "
        "megapixels in tiles of 1088x1088, all others whole",
        None,
    )
    tta: ServeTta = flag(
        "flips: mean of the frame and its mirror images, 4 times the work; stored: what the system file says, else "
        "none",
        "stored",
    )


@dataclass(frozen=True, kw_only=True)
class DownloadWeightsConfig:
    """What ``Download_weights.py`` does."""

    names: tuple[str, ...] | None = flag(
        "weights to fetch, by their names with or without the digits of the sha256; all: every one; none: the index's "
        "default",
        None,
        positional=True,
    )
    list: bool = flag("show what the index lists and fetch nothing", False)
    to: Path = flag("folder to put the files into; Predict_masks.py looks there by itself", Path("weights"))
    verify: bool = flag("check the sha256 of the files that are in the folder and fetch nothing", False)
    index: str | None = flag(
        "where the list is: a file, a file:// or https:// address, or hf://USER/NAME on the Hugging Face hub; none: "
        "STEEL_WEIGHTS_INDEX of the environment, else weights/index.json of this repository",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class ForeignFlags:
    """What another program's network is, which a file of weights does not say."""

    heading: ClassVar = "of -from"

    architecture: Architecture | None = flag("its architecture; none: as SMP's config.json beside it says", None)
    encoder: str | None = flag("its encoder; none: as SMP's config.json beside it says", None)
    classes: tuple[str, ...] | None = flag("names of its classes, in the order of its channels", None)
    task: Task = flag("what its channels are; multiclass: the first one is the background", "multilabel")
    target: str | None = flag("class that a network of -task per-class finds, one of -classes", None)
    channels: int | None = flag("image channels it sees; none: as SMP's config.json says, else 3", None)
    decoder_channels: tuple[int, ...] | None = flag("as for Train.py, where they are not SMP's", None)
    image_size: tuple[int, int] | None = flag(
        "H,W in pixels that its images are resized to; none: their own size", None
    )
    mean: tuple[float, ...] | None = flag(
        "of its normalisation, one a channel, in units of 0..1; none: that of the encoder's published weights", None
    )
    std: tuple[float, ...] | None = flag("likewise", None)


@dataclass(frozen=True, kw_only=True)
class PublishWeightsConfig(ForeignFlags, MachineFlags):
    """What ``Publish_weights.py`` does."""

    run: Path | None = flag("run folder of Train.py; needed unless -from", None, positional=True)
    source: Path | None = flag(
        "instead of a run folder, a FILE of another program to make a weights file of: a state dict of SMP, a "
        ".safetensors file, a checkpoint of Lightning or catalyst, or the folder that SMP's save_pretrained writes",
        None,
    )
    name: str = flag("name to publish under, ARCHITECTURE-ENCODER-DATA; the first 8 digits of the sha256 are added")
    weights: str | None = flag("name of the weights file in the run folder when it holds several", None)
    dir: Path | None = flag(
        "dataset folder of the run, for its validation split; none: the folder that the run was trained on", None
    )
    test_dir: Path | None = flag(
        "labelled dataset folder of images that nothing was learnt, chosen or calibrated on, to measure on too: its "
        "test images where it has test_labels.csv, else its training images",
        None,
    )
    test_data: str | None = flag("those images in words, for the card; none: the folder's name", None)
    to: Path = flag("folder of index.json, the weights files and their cards", Path("weights"))
    data: str | None = flag(
        "the data trained on, for the card: name, where it comes from, how many images; needed unless -from", None
    )
    terms: str | None = flag("licence or terms of that data, for the card", None)
    limits: str | None = flag("what the network is not good for, for the card", None)
    urls: tuple[str, ...] | None = flag(
        "addresses of the folder where the file will be fetched from, as well as beside index.json", None
    )
    default: bool = flag("make it what Predict_masks.py takes without -weights; the first of an index is anyway", False)
    replace: bool = flag("take the place of published weights of this name", False)
    int8: Path | None = flag(
        "instead of a run folder: the -int8.zip that Export_model.py made of the published weights -name, fetched "
        "with them from then on; refused when its mean Dice falls by more than 0.002",
        None,
    )
    force: bool = flag(
        "publish though the mean Dice is not above the empty baseline, that of predicting nothing", False
    )
    storage: Literal["auto", "half", "float"] = flag(
        "auto: numbers of 16 bits if no score of all classes together on the validation split changes by more than "
        "0.0001, else of 32",
        "auto",
    )
    push: str | None = flag(
        "USER/NAME of a model repository on the Hugging Face hub to send it to, in SMP's own format; needs 'hf auth "
        "login' once",
        None,
    )
    image_hashes: bool = flag(
        "keep the hashes of the images trained on, 48 bytes each, by which anyone can look for copies of images at "
        "hand; false leaves them out",
        True,
    )
    batch_size: int = flag("images per forward pass while measuring", 4, low=1)


@dataclass(frozen=True, kw_only=True)
class DownloadDataConfig:
    """What ``Prepare_data.py download`` does."""

    dir: Path = flag("dataset folder to write")
    archive: Path | None = flag("zip file or folder that was downloaded by hand; none: fetch from Kaggle", None)
    competition: str = flag("name of the Kaggle competition", "severstal-steel-defect-detection")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What ``Prepare_data.py convert`` does."""

    source: Literal[LabelFormat, "dataset", "network"] = flag(
        "layout to read; dataset: the dataset folder -dir; network: what the network of -weights_dir finds in -images, "
        "as proposals for people to correct"
    )
    to: Literal[LabelFormat, "dataset"] | None = flag(
        "layout to write; none: dataset, with -from dataset index-masks", None
    )
    dir: Path = flag("folder to write; with -from dataset, the dataset folder to read")
    out: Path | None = flag(
        "with -from dataset, the folder to write (none: in DIR, called as the layout, index masks: masks)", None
    )
    images: Path | None = flag("folder of images", None)
    masks: Path | None = flag(
        "folder of masks named like the images, or NAME_mask, NAME_label, NAME_GT, NAME.jpg.png; it may be that of the "
        "images: index masks have 0 for background and 1..C for the classes; with -from labelstudio, the folder of "
        "brush pictures; with -from dataset, the folder of index masks to write, as -out",
        None,
    )
    archive: Path | None = flag(
        "what the labelling program exported, as it wrote it: zip or tar file, or the folder; instead of -images, "
        "-masks and -annotations, or of those that are not given",
        None,
    )
    mask_threshold: int | None = flag(
        "grey level from which a mask's pixel is a defect, 1..255, for grey-level, anti-aliased and JPEG masks of one "
        "class; 128 is the middle",
        None,
        low=1,
        high=255,
    )
    mask_values: tuple[str, ...] | None = flag(
        "grey levels that the masks have for background and each class in order, as 0,127,255; none: 0,1,2,3", None
    )
    ignore_value: int | None = flag(
        "grey level of pixels that count neither in the loss nor in scores, as borders that nobody could label; 255 is "
        "usual; none: every pixel counts",
        None,
        low=0,
        high=255,
    )
    colours: tuple[str, ...] | None = flag(
        "colour of each class in colour masks, as pit=#ff0000,crack=#00ff00, or a file of such lines or labelmap.txt "
        "of CVAT; what has no name is background=#000000; none: labelmap.txt beside the masks",
        None,
    )
    annotations: Path | None = flag(
        "COCO JSON file, folder of YOLO label files with outlines, annotations.xml of CVAT, JSON export of Label "
        "Studio, folder of LabelMe's files (none: -images), folder of a Supervisely project",
        None,
    )
    class_names: tuple[str, ...] | None = flag(
        "names of the classes in order, comma separated; none: the source's, those of DIR/classes.txt, or 1, 2, 3", None
    )
    split: Side = flag(
        "train writes train_images/ and train.csv; test writes test_images/, test.csv and, with labels, "
        "test_labels.csv; with -from dataset, the side to read",
        "train",
    )
    link: bool = flag("link the images instead of copying them", False)
    skip_bad: bool = flag(
        "leave out images whose file or labels are malformed, list them in DIR/summary.json and end with exit code 3, "
        "instead of stopping at the first",
        False,
    )
    weights_dir: Path | None = flag(
        "with -from network, the weights that propose: a folder, a weights file or a system file; with -from dataset, "
        "their proposals are written instead of the folder's labels",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class CheckConfig(PixelFlags, ReadingFlags):
    """What ``Prepare_data.py check`` does."""

    dir: Path = flag("dataset folder to check")
    out: Path | None = flag("CSV file for the problems, written when there are any; none: DIR/problems.csv", None)


@dataclass(frozen=True, kw_only=True)
class PackConfig(ReadingFlags):
    """What ``Prepare_data.py pack`` does."""

    dir: Path = flag("dataset folder to pack; it stays as it is")
    out: Path | Url = flag("new folder, or the URL of one, for the packed dataset")
    shard_mb: int = flag("megabytes of a tar file; what a store or disk reads at a time is less", 256, low=1)
    seed: int = flag("fixes the random order of the images in the tar files", 0, low=0, high=2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """What ``Prepare_data.py collect`` does."""

    review: Path = flag("folder of Serve.py -save; the server may be running")
    dir: Path = flag("dataset folder to write, new or empty")
    add: Path | None = flag(
        "dataset folder whose training images and labels are taken in, too; of an image in both the review counts", None
    )
    link: bool = flag("link the images instead of copying them", False)


@dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """What ``Prepare_data.py balance`` does."""

    dir: Path = flag("dataset folder with train.csv")
    per_class: int = flag("images per class; 250 x 4 classes = the published 1,000", 250, low=1)
    seed: int = flag("fixes which images are taken", 42, low=0, high=2**31 - 1)
    out: Path | None = flag("CSV file to write; none: DIR/train_balanced.csv", None)


@dataclass(frozen=True, kw_only=True)
class ExploreConfig(PixelFlags, ReadingFlags):
    """What ``Prepare_data.py explore`` does."""

    dir: Path = flag("dataset folder with train.csv; without train_images/ the labels alone are explored")
    out: Path | None = flag("folder, or .html file, to write; none: DIR/exploration", None)
    image_size: tuple[int, int] | None = flag(
        "H,W in pixels of all images, where train_images/ is not there to tell", None
    )
    examples: int = flag(
        "images to show of each class; six lie between the smallest and the largest defects", 6, low=0, high=50
    )
    near_duplicates: bool = flag("look for the same piece of strip among the images; the slowest part", True)


@dataclass(frozen=True, kw_only=True)
class CopiesConfig(ReadingFlags):
    """What ``Prepare_data.py copies`` does."""

    dir: Path = flag(
        "dataset folder, or plain folder of images, to look for copies in; of both sides the training images"
    )
    against: Path | None = flag(
        "other folder: copies between the two; its test images where it has some. -dir's own folder: between its "
        "training and its test images",
        None,
    )
    split: Path | None = flag(
        "CSV with the columns image and side (train, valid, test), as Train.py writes: copies between the sides", None
    )
    keep: Literal["all", "one"] = flag(
        "one: writes what is left when one image of each picture is kept: a dataset folder, OUT/kept; of copies in "
        "two folders that of -against stays; of those on two sides of -split that of test, then valid (OUT/split.csv)",
        "all",
    )
    out: Path | None = flag("folder to write; none: DIR/copies", None)
    examples: int = flag("pairs that the page shows of each kind", 12, low=0, high=50)


@dataclass(frozen=True, kw_only=True)
class SelectConfig(ReadingFlags, MachineFlags):
    """What ``Prepare_data.py select`` does."""

    dir: Path = flag("dataset folder of the images that are labelled")
    images: Path = flag("folder of images without labels to choose from")
    weights_dir: Path = flag("run folder, .pth or system file of a network that was trained on -dir")
    num_of_images: int = flag("images to choose, and as many to draw at random", 100, low=1)
    seed: int = flag("fixes the random draw and the groups of images that look alike", 42, low=0, high=2**31 - 1)
    out: Path | None = flag("new folder to write; none: IMAGES_select beside -images", None)


@dataclass(frozen=True, kw_only=True)
class SuspectConfig(ReadingFlags, MachineFlags):
    """What ``Prepare_data.py suspect`` does."""

    dir: Path = flag("dataset folder whose labels are looked at")
    folds_run: Path | None = flag(
        "run folder of Train.py -folds on this folder: each label is weighed against the network that has not learnt "
        "it; none: copies and masks alone are looked at",
        None,
    )
    copies: bool = flag("look for copies whose labels differ; the slowest part", True)
    rank: Literal["mistakes", "cleanlab"] = flag(
        "what the networks' answers are weighed by; mistakes: which mistake explains the difference, and how well; "
        "cleanlab: the library's score of an image (requirements-labels.txt)",
        "mistakes",
    )
    num_of_images: int = flag("images at the head of the table that the page shows and that are put aside", 50, low=1)
    out: Path | None = flag("folder to write; none: DIR/suspects", None)


@dataclass(frozen=True, kw_only=True)
class CoilDrawFlags:
    """What the coil is that ``Prepare_data.py synthesise -coil`` draws."""

    heading: ClassVar = "of -coil"

    coil: bool = flag(
        "draw one coil instead of single strips: the frames of its cameras, positions.csv, coil.yaml, defects.csv and "
        "truth.json for Map_coil.py",
        False,
    )
    cameras: int = flag("side by side across the strip", 2, low=1, high=16)
    frames: int = flag("images of each camera", 100, low=2)
    mm_per_px: tuple[float, float] | None = flag(
        "ALONG,ACROSS: millimetres of strip under a pixel; none: the scale is unknown, everything is in pixels",
        (1.0, 0.5),
    )
    camera_scale: float = flag(
        "millimetres under a pixel of each further camera, relative to the one before", 1.0, low=0.5, high=2
    )
    frame_overlap: int = flag("pixels that a frame shares with the next one of its camera", 32, low=0)
    camera_overlap: int = flag("pixels that a camera shares with its neighbour", 64, low=0)
    dark: int = flag("pixels of dark beside the strip, on either side", 80, low=0)
    seams: int = flag("places across each image where one sensor ends and the next begins", 0, low=0, high=8)
    defects_per_m: float = flag("defects a metre that no roll prints; without a scale, in 1000 pixels", 8.0, low=0)
    cut: float = flag("share of them that a border of a frame or a camera cuts", 0.4, low=0, high=1)
    repeats: int = flag("rolls that print a mark at every turn", 1, low=0, high=8)
    missed: float = flag("share of these marks that nobody sees", 0.3, low=0, high=0.95)
    dirt: int = flag("specks on each lens", 1, low=0, high=20)
    positions: CoilPositions = flag(
        "what positions.csv says: start_m; time, beside speed.csv; count of an encoder; none: no such file, frames are "
        "numbered in order (one camera, no overlap)",
        "start_m",
    )
    spoil: float = flag(
        "share of the rows of positions.csv that are missing, and as many that are doubled; the rest in any order",
        0.0,
        low=0,
        high=0.3,
    )
    along: Literal["x", "y"] = flag("image axis that runs along the strip", "y")
    reversed_along: bool = flag("the head of the strip is at the end of that axis", False)
    reversed_across: bool = flag("the left edge is at the end of the other axis", False)


@dataclass(frozen=True, kw_only=True)
class SynthesiseConfig(CoilDrawFlags):
    """What ``Prepare_data.py synthesise`` does."""

    dir: Path = flag("dataset folder to write")
    num_of_images: int = flag("strips to make; a coil has -cameras times -frames instead", 200, low=0)
    image_size: tuple[int, int] = flag("H,W in pixels; the competition's size", (256, 1600))
    split: Side = flag(
        "train writes train_images/ and train.csv; test writes test_images/, test.csv and test_labels.csv", "train"
    )
    class_floor: float = flag(
        "least share of the strips that show each class, 0..0.2; 0: the real shares, with cracks on 2 %",
        0.15,
        low=0,
        high=0.2,
    )
    contrast: float = flag(
        "strength of the defects; 1 is as real ones look, 2 lets a network learn them in minutes", 1.0, low=0.1, high=4
    )
    distractors: float = flag("how often harmless marks occur, 0..1; 1 is as on real strips", 1.0, low=0, high=1)
    seed: int = flag("fixes every pixel", 42, low=0, high=2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class DemoConfig(MachineFlags):
    """What ``Demo.py`` does; the defaults fit two minutes on two CPU cores."""

    dir: Path = flag("folder to write; an earlier demo in it is replaced", Path("demo"))
    num_of_images: int = flag("synthetic strips to train on", 160, low=2)
    num_of_unseen: int = flag("synthetic strips, drawn from another seed, to predict and to score", 40, low=1)
    encoder: str = flag("encoder of the network; that of the weights that it starts from", "tf_efficientnet_lite0")
    encoder_weights: str = flag(
        "weights to start from: a name of weights/, imagenet, none or a FILE; the default learnt strips whose defects"
        " are fainter and of four classes",
        "unet-tf_efficientnet_lite0-synthetic",
    )
    decoder_channels: tuple[int, ...] | None = flag(
        "channels of the U-Net's decoder blocks, coarsest first; those of the weights that it starts from; none: SMP's",
        (128, 64, 32, 16, 16),
    )
    downsample: int = flag("1, 2 or 4: the network sees strips made smaller by this; 2 takes a quarter of the work", 2)
    crop: tuple[int, int] = flag("H,W in pixels of the training crops; small ones give more steps", (256, 512))
    num_epochs: int = flag("passes over the training strips", 4, low=1)
    batch_size: int = flag("crops per step; small batches give more steps", 8, low=1)
    min_area: int = flag(
        "smallest connected defect in pixels of the strip; what a minute of training leaves are specks", 400, low=0
    )
    seed: int = flag("fixes strips and training", 42, low=0, high=2**31 - 1)
    precision: Literal["auto", "f32", "bf16"] = flag(
        "auto takes bf16 where a CPU multiplies it in hardware, in half the time", "auto"
    )
