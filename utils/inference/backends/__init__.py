"""What can run a network, one file each.

A new backend is a file here with a class that takes a ``WeightsFile`` and ``Settings`` and is a ``Network`` (see
``utils/inference/network.py``), a line in ``BACKENDS``, and its name in ``Backend`` of ``config.py``. Libraries that not
everybody has are imported inside the class: see ``device.optional``.
"""

from collections.abc import Callable

from utils.inference.backends.onnxruntime_backend import OnnxRuntimeNetwork
from utils.inference.backends.openvino_backend import OpenVinoNetwork
from utils.inference.backends.torch_backend import TorchNetwork
from utils.inference.network import Network, Settings
from utils.weights.weights_file import WeightsFile

# The likely fastest first: ``auto`` tries them in this order.
BACKENDS: dict[str, Callable[[WeightsFile, Settings], Network]] = {
    "openvino": OpenVinoNetwork,
    "onnxruntime": OnnxRuntimeNetwork,
    "torch": TorchNetwork,
}
