"""ONNX Runtime: f32 on CPUs, wherever OpenVINO is not to be had."""

import threading
from typing import Any

import numpy as np
import torch

from utils.device import cpu_threads, optional, require_cpu
from utils.errors import InputError
from utils.inference.backends.store import SIZES, Store
from utils.inference.export.graph import takes_any_size, to_onnx
from utils.inference.network import ChooseImages, Outputs, Settings, keep_chosen
from utils.inference.systems.system import Size
from utils.weights.weights_file import WeightsFile

FILE = "network.onnx"


class OnnxRuntimeNetwork:
    """ONNX Runtime on the CPU; normalisation and padding are part of its graph.

    Args:
        weights: the network.
        settings: how to run it.
    """

    parallel = 1  # a call uses all threads

    def __init__(self, weights: WeightsFile, settings: Settings) -> None:
        self._library = optional("-backend onnxruntime", "onnxruntime", "onnx", instead="use -backend torch")
        require_cpu("onnxruntime", settings.device)
        if settings.precision != "f32":
            raise InputError(
                f"-backend onnxruntime: has no {settings.precision} on CPUs; use -precision f32, or -backend openvino"
            )
        self._weights, self._store = weights, Store(weights)
        self._options = self._library.SessionOptions()
        self._options.intra_op_num_threads = cpu_threads(settings.threads)
        self._options.log_severity_level = 3  # it remarks on graphs that it improves
        # Threads that spin while they wait take the cores from those that read and write images.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = "onnxruntime f32 on cpu"
        self._lock = threading.Lock()
        self._sessions: dict[Size, Any] = {}
        self._note = f"onnxruntime {self._library.__version__} takes any size"
        if self._store.note(self._note) is not False:
            self._open_any_size()

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        size = (images.shape[1], images.shape[2])
        with self._lock:
            key: Size = None if None in self._sessions else size
            if key not in self._sessions:
                while len(self._sessions) >= SIZES:  # whoever still runs one holds it
                    del self._sessions[next(iter(self._sessions))]
                self._sessions[key] = self._session(f"onnx-{size[0]}x{size[1]}", size)
            session = self._sessions[key] = self._sessions.pop(key)  # the last one used is the last to go
        arrays = session.run(None, {"images": images})
        return keep_chosen(Outputs.of([torch.from_numpy(array) for array in arrays]), choose)

    def _open_any_size(self) -> None:
        """Open the graph for any size of images, for architectures that do not need one for each size."""
        known = self._store.note(self._note)
        try:
            session = self._session("onnx-any", None)
            fits = known or takes_any_size(self._weights.build(), lambda images: session.run(None, {"images": images}))
        except Exception:
            fits = False
        if fits is not known:
            self._store.put_note(self._note, fits)
        if fits:
            self._sessions[None] = session

    def _session(self, name: str, size: Size) -> Any:
        folder = self._store.folder(name)
        if folder is not None:
            try:
                return self._library.InferenceSession((folder / FILE).read_bytes(), self._options)
            except Exception:  # damaged: made anew
                pass
        try:
            content = to_onnx(self._weights.build(), size)
            session = self._library.InferenceSession(content, self._options)
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            spec = self._weights.spec
            raise InputError(
                f"-backend onnxruntime: cannot convert {spec.architecture} {spec.encoder} ({reason}); use -backend torch"
            ) from None
        self._store.keep(name, lambda folder: (folder / FILE).write_bytes(content))
        return session
