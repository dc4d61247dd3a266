"""Architectures by the name of the flag: SMP's, and one file each for our own.

A new one is a file here and its name in ``config.Architecture``. The file is called as the architecture, with ``_`` for
``-``, and has a class ``Network``:

- it takes SMP's arguments ``encoder_name``, ``encoder_weights``, ``in_channels`` and ``classes``;
- it has an ``encoder`` and gives ``(N, classes, H, W)`` logits;
- with ``has_masks = False`` it classifies whole images, and ``classes`` is 0;
- with ``has_labels = True`` it takes ``labels``, ``dense`` and ``dropout`` too and gives ``(N, labels)`` logits of the whole image,
  behind the masks where it has both, like SMP's models with ``aux_params``;
- with ``encode`` and ``decode`` the masks can be had for some images of a batch alone, see ``Segmenter.decode``;
- ``multiple``, where it has one, says of which number of pixels heights and widths have to be multiples.
"""

import importlib
from pathlib import Path
from typing import get_args

import segmentation_models_pytorch as smp
from torch import nn

from config import Architecture


def _class_of(name: str) -> type[nn.Module]:
    module = name.replace("-", "_")
    if (Path(__file__).parent / f"{module}.py").is_file():
        return importlib.import_module(f"{__name__}.{module}").Network
    return next(kind for kind in vars(smp).values() if isinstance(kind, type) and kind.__name__.lower() == name)


ARCHITECTURES: dict[str, type[nn.Module]] = {name: _class_of(name) for name in get_args(Architecture)}
