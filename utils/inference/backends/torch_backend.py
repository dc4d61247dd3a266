"""PyTorch on a CPU or a GPU: the one that the others are measured against."""

import numpy as np
import torch

from utils.device import check_precision, choose_device
from utils.errors import InputError
from utils.inference.network import ChooseImages, Outputs, Settings
from utils.weights.weights_file import WeightsFile


class TorchNetwork:
    """PyTorch with ``channels_last`` memory and autocast.

    Args:
        weights: the network.
        settings: how to run it; ``compile`` lets ``torch.compile`` translate it, which takes a minute at the first image of
            each size.
    """

    parallel = 1  # a call uses all threads

    def __init__(self, weights: WeightsFile, settings: Settings) -> None:
        self.device = choose_device(settings.device)
        self.dtype = check_precision(settings.precision, self.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        # Sizes repeat from batch to batch: looking for the fastest convolution once pays off.
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        self.model = weights.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile:
            # For each size anew. A graph for all sizes, which torch makes at the second one by itself, took over ten minutes.
            self.model.compile(dynamic=False)
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        self.name = f"torch{' compiled' if settings.compile else ''} {settings.precision} on {place}"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        # Images lie in memory with channels last already: the permuted view needs no copy.
        batch = torch.from_numpy(images).permute(0, 3, 1, 2)
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        try:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                if choose is not None and self.model.spec.labels and self.model.spec.outputs:
                    return Outputs(*self.model.chosen(batch, choose))  # a shared backbone decodes no others
                return Outputs.of(self.model(batch))
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                count, height, width = images.shape[:3]
                raise InputError(
                    f"the memory of {self.name.split(' on ')[1]} is too small for {count} images of {height}x{width};"
                    " use a smaller -batch_size, tiles (-tile 512,512), or weights trained with a smaller -image_size"
                ) from None
            raise
