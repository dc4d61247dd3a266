"""Architectures by the name of the flag: SMP's, and one file each for our own.

A new one is a file here and its name in ``config.Architecture``. The file is called as the architecture, with ``_`` for
``-``, and has a class ``Network``:

- it takes SMP's arguments ``encoder_name``, ``encoder_weights``, ``in_channels`` and ``classes``;
- it takes ``decoder_channels`` too where ``spec.DECODER_BLOCKS`` names it;
- it has an ``encoder`` and gives ``(N, classes, H, W)`` logits;
- with ``has_masks = False`` it classifies whole images, and ``classes`` is 0;
- with ``has_labels = True`` it takes ``labels``, ``dense`` and ``dropout`` too and gives ``(N, labels)`` logits of the whole image,
  behind the masks where it has both, like SMP's models with ``aux_params``;
- with ``encode`` and ``decode`` the masks can be had for some images of a batch alone, see ``Segmenter.decode``;
- ``multiple``, where it has one, says of which number of pixels heights and widths have to be multiples.
"""

import importlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import get_args

from torch import nn

from config import Architecture


class _Architectures(MutableMapping[str, type[nn.Module]]):
    """Classes by name, each imported when it is asked for: SMP and timm take seconds, and who runs a converted network needs neither."""

    def __init__(self) -> None:
        self._classes: dict[str, type[nn.Module] | None] = dict.fromkeys(get_args(Architecture))

    def __getitem__(self, name: str) -> type[nn.Module]:
        found = self._classes[name]
        if found is None:
            found = self._classes[name] = own_class(name) or _class_of_smp(name)
        return found

    def __setitem__(self, name: str, kind: type[nn.Module]) -> None:
        self._classes[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._classes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._classes  # without importing it

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


def own_class(name: str) -> type[nn.Module] | None:
    """Return the class of an architecture that has a file here; None for SMP's, which have masks alone."""
    module = name.replace("-", "_")
    if name in get_args(Architecture) and (Path(__file__).parent / f"{module}.py").is_file():
        return importlib.import_module(f"{__name__}.{module}").Network
    return None


def _class_of_smp(name: str) -> type[nn.Module]:
    import segmentation_models_pytorch as smp

    return next(kind for kind in vars(smp).values() if isinstance(kind, type) and kind.__name__.lower() == name)


ARCHITECTURES = _Architectures()
