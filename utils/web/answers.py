"""What the API answers: its form, for the description, and the making of it from what was inspected."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from utils.data.rle import encode_part
from utils.decision.components import defect_shapes
from utils.decision.decided_logits import DecidedLogits
from utils.inference.inspected import Inspected, Refused
from utils.inference.outputs import encode_png, heat_map_of, overlay_of
from utils.inspection.about import About


class Form(BaseModel):
    """A part of an answer; it has what is described here and nothing else."""

    model_config = ConfigDict(extra="forbid")


class Box(Form):
    x: int = Field(description="column of the left pixels, from 0", ge=0, examples=[412])
    y: int = Field(description="row of the upper pixels, from 0", ge=0, examples=[37])
    width: int = Field(description="pixels", ge=1, examples=[21])
    height: int = Field(description="pixels", ge=1, examples=[18])


class DefectAnswer(Form):
    class_id: int = Field(description="number of the class, from 1", ge=1, examples=[1])
    name: str = Field(description="name of the class", examples=["inclusion"])
    area_px: int = Field(description="pixels of the defect", ge=1, examples=[240])
    box: Box
    mean_probability: float = Field(description="mean over its pixels, 0..1", ge=0, le=1, examples=[0.9312])
    rle: str = Field(
        description="its pixels: pairs of start and length, counted from 1 down the columns, then right",
        examples=["105510 12 105766 14"],
    )


class ErrorAnswer(Form):
    code: str = Field(description="one word for programs", examples=["truncated"])
    message: str = Field(description="one sentence for people", examples=["The image file is cut off in the middle."])
    id: str | None = Field(
        None, description="of the request, as the server's log names it", examples=["5f0c1e9ab2d34c77"]
    )


class Problems(Form):
    """What every answer other than 200 looks like."""

    error: ErrorAnswer


class ImageAnswer(Form):
    index: int = Field(description="place in the request, from 0", ge=0, examples=[0])
    name: str = Field(description="as the request called it", examples=["strip.jpg"])
    verdict: Literal["clean", "defective"] | None = Field(
        description="null when it was refused", examples=["defective"]
    )
    classes: list[str] = Field(description="names of the classes found", examples=[["inclusion"]])
    width: int | None = Field(description="pixels", examples=[1600])
    height: int | None = Field(description="pixels", examples=[256])
    defects: list[DefectAnswer] = Field(description="one for each connected defect")
    labels: dict[str, float] | None = Field(
        description="probabilities of the whole image, where a network judges it", examples=[{"defect": 0.98}]
    )
    doubt: str | None = Field(
        None,
        description="of a clean verdict: what speaks against it, as a network that judges whole images sees it",
        examples=[None],
    )
    seconds: float | None = Field(description="from acceptance to result", ge=0, examples=[0.061])
    overlay: str | None = Field(
        description="PNG in base64, with ?overlay=png or heatmap; of very large images there is no heat map",
        examples=[None],
    )
    error: ErrorAnswer | None = Field(description="why it was refused", examples=[None])


class InspectAnswer(Form):
    id: str = Field(description="of the request", examples=["5f0c1e9ab2d34c77"])
    weights: str = Field(description="file that was used", examples=["unet-tf_efficientnet_lite2-neuseg-3582b65d.pth"])
    seconds: float = Field(description="from the head of the request to its answer", ge=0, examples=[0.064])
    refused: int = Field(description="images that were not inspected", ge=0, examples=[0])
    settings: str = Field(
        description="word for weights and thresholds: equal words, equal decisions", examples=["a3f0c1e9ab2d34c7"]
    )
    meta: dict[str, str | float] = Field(description="context as it was sent", examples=[{"coil_id": "A7"}])
    images: list[ImageAnswer] = Field(description="in the order of the request")


class ClassAnswer(Form):
    class_id: int = Field(ge=1, examples=[1])
    name: str = Field(examples=["inclusion"])
    threshold: float = Field(description="probability from which a pixel counts", ge=0, le=1, examples=[0.5])
    high_threshold: float = Field(
        description="probability that a defect must reach somewhere; 0: not asked", ge=0, le=1, examples=[0.98]
    )
    min_area: int = Field(description="smallest defect, pixels", ge=0, examples=[100])
    max_area: int | None = Field(description="largest defect, pixels; null: no limit", examples=[None])


class LabelAnswer(Form):
    name: str = Field(examples=["defect"])
    threshold: float = Field(description="probability from which the image has it", ge=0, le=1, examples=[0.5])


class LimitsAnswer(Form):
    max_images: int = Field(description="in a request", examples=[32])
    max_bytes: int = Field(description="of a request", examples=[64_000_000])
    max_pixels: int = Field(description="of an image", examples=[20_000_000])
    max_seconds: float = Field(description="of a request", examples=[60])
    formats: list[str] = Field(examples=[["JPEG", "PNG", "BMP", "TIFF", "WEBP"]])


class ModelAnswer(Form):
    name: str = Field(examples=["unet-tf_efficientnet_lite2-neuseg"])
    file: str = Field(examples=["unet-tf_efficientnet_lite2-neuseg-3582b65d.pth"])
    kind: Literal["network", "system"]
    task: str = Field(examples=["multilabel"])
    backend: str = Field(description="what runs it", examples=["openvino bf16 on cpu"])
    classes: list[ClassAnswer]
    labels: list[LabelAnswer] = Field(description="of the whole image; empty when no network judges it")
    scores: dict[str, Any] = Field(
        description="as its file or index has them; measured_with: the thresholds, where these are not the decision's",
        examples=[{}],
    )
    card: str | None = Field(description="markdown", examples=["# unet-tf_efficientnet_lite2-neuseg"])
    limits: LimitsAnswer


class WeightsChoice(Form):
    name: str = Field(description="for ?weights=", examples=["unet-tf_efficientnet_lite2-neuseg"])
    file: str = Field(examples=["unet-tf_efficientnet_lite2-neuseg-3582b65d.pth"])
    loaded_at_start: bool = Field(description="whether a request without ?weights= gets these", examples=[True])


class WeightsAnswer(Form):
    weights: list[WeightsChoice]


class JobAnswer(Form):
    id: str = Field(description="of the job; people find it on the page as a visit", examples=["q1Zc0E9aB2d34c77"])
    state: Literal["running", "done", "stopped"]
    counts: dict[str, int] = Field(description="images, and how many wait, are done, refused, defective, reviewed")
    expected: int | None = Field(description="images that were announced", examples=[None])
    weights: str = Field(description="file that is used", examples=["unet-tf_efficientnet_lite2-neuseg-3582b65d.pth"])
    settings: str = Field(description="word for weights and thresholds", examples=["a3f0c1e9ab2d34c7"])
    meta: dict[str, str | float] = Field(description="context", examples=[{"coil_id": "A7"}])
    called_back: bool = Field(description="whether its callback was made", examples=[False])
    left_out: list[dict[str, str]] = Field(
        [], description="name and reason of each image of -dir that could not be read when the job began", examples=[[]]
    )


class StateAnswer(Form):
    status: Literal["alive", "ready"]


def image_answer(about: About, inspected: Inspected, overlay: str) -> dict[str, Any]:
    """Return what is known about an image, in the form of ``ImageAnswer`` but for its index; with a picture of that kind, if any."""
    height, width = inspected.image.shape[:2]
    labels = None
    if inspected.labels is not None:
        labels = {n: round(float(p), 4) for n, p in zip(about.label_names, inspected.labels, strict=True)}
    picture = None
    if overlay == "png" or (overlay and not isinstance(inspected.decided_logits, DecidedLogits)):
        names = about.class_names or about.label_names
        drawn = heat_map_of(inspected, about.task) if overlay == "heatmap" else overlay_of(inspected, names)
        picture = base64.b64encode(encode_png(drawn)).decode("ascii")
    shapes = defect_shapes(inspected.masks, inspected.defects)
    return {
        "name": inspected.name,
        "verdict": about.verdict(inspected),
        "classes": list(about.found(inspected)),
        "width": width,
        "height": height,
        "defects": [
            {
                "class_id": about.first_class + mask - 1,
                "name": about.class_names[mask - 1],
                "area_px": area,
                "box": {"x": x, "y": y, "width": w, "height": h},
                "mean_probability": round(probability, 4),
                "rle": encode_part(shape, x, y, height),
            }
            for (mask, area, x, y, w, h, probability), shape in zip(inspected.defects.tolist(), shapes, strict=True)
        ],
        "labels": labels,
        "doubt": about.doubt(inspected.labels, about.found(inspected)),
        "seconds": round(inspected.seconds, 4),
        "overlay": picture,
        "error": None,
    }


def refusal_answer(refused: Refused) -> dict[str, Any]:
    """Return why there is nothing about an image, in the form of ``ImageAnswer`` but for its index."""
    return {
        "name": refused.name,
        "verdict": None,
        "classes": [],
        "width": None,
        "height": None,
        "defects": [],
        "labels": None,
        "doubt": None,
        "seconds": None,
        "overlay": None,
        "error": {"code": refused.code, "message": refused.reason, "id": None},
    }


def pack(answer: dict[str, Any]) -> bytes:
    """Write an answer about an image as JSON; done where the image was inspected, not where all requests pass."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def join(
    number: str,
    weights: str,
    seconds: float,
    refused: int,
    images: list[bytes],
    settings: str = "",
    meta: Mapping[str, str | float] | None = None,
) -> bytes:
    """Put the answers about the images of a request together, in the form of ``InspectAnswer``."""
    head = {"id": number, "weights": weights, "seconds": round(seconds, 4), "refused": refused}
    head |= {"settings": settings, "meta": dict(meta or {})}
    indexed = (b'{"index": %d, ' % index + image[1:] for index, image in enumerate(images))
    return json.dumps(head)[:-1].encode() + b', "images": [' + b", ".join(indexed) + b"]}"


def model_answer(about: About, limits: LimitsAnswer) -> ModelAnswer:
    """Describe what is loaded."""
    return ModelAnswer(
        name=about.name,
        file=about.file,
        kind="system" if about.kind == "system" else "network",
        task=about.task,
        backend=about.backend,
        classes=[
            ClassAnswer(class_id=class_id, name=name, **vars(one))
            for class_id, (name, one) in enumerate(
                zip(about.class_names, about.decision.per_class, strict=True), start=about.first_class
            )
        ],
        labels=[
            LabelAnswer(name=name, threshold=t)
            for name, t in zip(about.label_names, about.label_thresholds, strict=True)
        ],
        scores=about.scores,
        card=about.card,
        limits=limits,
    )
