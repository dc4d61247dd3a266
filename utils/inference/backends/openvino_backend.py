"""OpenVINO: the fastest on CPUs, in bf16 where the CPU has it."""

import queue
import threading
from typing import Any

import numpy as np
import torch

from utils.device import check_precision, cpu_has_bf16, cpu_threads, optional, require_cpu
from utils.errors import InputError
from utils.inference.backends.int8 import Int8File, need_int8
from utils.inference.backends.openvino_steps import Steps, has_steps
from utils.inference.backends.store import SIZES, Store
from utils.inference.export.graph import takes_any_size, to_openvino
from utils.inference.network import ChooseImages, Outputs, Settings, keep_chosen
from utils.inference.openvino_core import openvino_core
from utils.inference.systems.system import Size
from utils.weights.weights_file import WeightsFile

MOST_STREAMS = 8  # images that are worked on at once, each by its share of the threads


class OpenVinoNetwork:
    """OpenVINO on the CPU; normalisation and padding are part of its graph.

    Several images run at once, each on few threads: that keeps all cores busy where one image alone would not.

    Args:
        weights: the network.
        settings: how to run it.
    """

    def __init__(self, weights: WeightsFile, settings: Settings) -> None:
        openvino = optional("-backend openvino", "openvino", instead="use -backend torch")
        device = require_cpu("openvino", settings.device)
        self._weights, self._store = weights, Store(weights)
        self._int8: Int8File | None = None
        rest = settings.precision
        if settings.precision == "int8":
            self._int8 = need_int8(weights, self._store)
            rest = "bf16" if cpu_has_bf16() else "f32"  # of what stays in floating point
        else:
            check_precision(settings.precision, device)
        self._version = openvino.__version__.split("-")[0]
        self._core = openvino_core()
        threads = cpu_threads(settings.threads)
        self._streams = min(threads, MOST_STREAMS)
        # One more than run, so that no stream waits for Python between two batches.
        self.parallel = self._streams + 1
        self._options = {
            "INFERENCE_PRECISION_HINT": rest,
            "NUM_STREAMS": self._streams,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # a thread that is tied to a core waits there for whatever else runs on it
        }
        self.name = f"openvino {settings.precision} on cpu"
        self._lock = threading.Lock()
        self._requests: dict[Size, queue.SimpleQueue] = {}
        self._steps: Steps | None = None
        self._any_size = self._open_any_size()

    def __call__(self, images: np.ndarray, choose: ChooseImages | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        try:
            steps = self._in_steps((images.shape[1], images.shape[2])) if choose else None
            if steps is not None and choose is not None:
                return steps(images, choose)
            return keep_chosen(self._whole(images), choose)
        except RuntimeError as error:
            if "alloc" in str(error):
                raise InputError(
                    f"the memory is too small for images of {images.shape[1]}x{images.shape[2]} with -backend openvino;"
                    " use fewer -threads, tiles (-tile 512,512), or weights trained with a smaller -image_size"
                ) from None
            raise

    def _whole(self, images: np.ndarray) -> Outputs:
        """Run all of the network."""
        requests = self._compiled((images.shape[1], images.shape[2]))
        request = requests.get()
        try:
            # One by one: on a CPU a batch is no faster, and its intermediate results leave the caches.
            arrays: list[np.ndarray] = []
            for index in range(len(images)):
                parts = request(images[index : index + 1])
                if not arrays:
                    arrays = [np.empty((len(images), *part.shape[1:]), dtype=np.float32) for part in parts]
                for array, part in zip(arrays, parts, strict=True):
                    array[index] = part[0]
        finally:
            requests.put(request)
        return Outputs.of([torch.from_numpy(array) for array in arrays])

    def _in_steps(self, size: tuple[int, int]) -> Steps | None:
        """Return the two halves of a network that has them, unless they are compiled for enough other sizes."""
        if self._int8 or not has_steps(self._weights.spec):
            return None
        with self._lock:
            if self._steps is None:
                options = {**self._options, **self._kept_compiled()}
                self._steps = Steps(self._weights, self._store, self._core, self._version, options, self._streams)
            known = size in self._steps.sizes or len(self._steps.sizes) < SIZES
            return self._steps if self._steps.fits and known else None

    def _compiled(self, size: tuple[int, int]) -> queue.SimpleQueue:
        """Return the idle requests for a size; compile for it when it is new.

        Beyond ``SIZES`` sizes a slower graph for any size is shared; where there is none, the size used least lately goes.
        """
        with self._lock:
            key: Size = size if size in self._requests or len(self._requests) < SIZES or not self._any_size else None
            if key not in self._requests:
                while not self._any_size and len(self._requests) >= SIZES:  # whoever still runs one holds it
                    del self._requests[next(iter(self._requests))]
                graph = self._any_size.clone() if self._any_size else self._open_fixed(size)
                graph.reshape([1, *(key or (-1, -1)), self._weights.spec.channels])
                compiled = self._core.compile_model(graph, "CPU", {**self._options, **self._kept_compiled()})
                self._requests[key] = queue.SimpleQueue()
                if key is None:
                    self._requests[key].put(lambda images: list(compiled(images).values()))
                else:
                    for _ in range(self._streams):
                        self._requests[key].put(_Request(compiled))
            requests = self._requests[key] = self._requests.pop(key)  # the last one used is the last to go
            return requests

    def _kept_compiled(self) -> dict[str, str]:
        """Return the option that makes OpenVINO keep what it compiles, where there is a place for it."""
        place = self._store.place(f"openvino-{self._version}-compiled")
        return {"CACHE_DIR": str(place)} if place else {}

    def _open_any_size(self) -> Any:
        """Return the graph for any size of images; None for architectures that need one for each size."""
        if self._int8:
            graph = self._int8.read(self._core)
            return None if self._int8.report.get("size") else graph
        name, note = f"openvino-{self._version}-any", f"openvino {self._version} takes any size"
        if self._store.note(note) is False:
            return None
        graph = self._store.read_openvino(self._core, name)
        if graph is None:
            model = self._weights.build()
            try:
                graph = to_openvino(model)
                fits = takes_any_size(model, lambda images: self._run_once(graph, images))
            except Exception:
                fits = False
            self._store.put_note(note, fits)
            if not fits:
                return None
            self._store.keep_openvino(name, graph)
        return graph

    def _run_once(self, graph: Any, images: np.ndarray) -> list[np.ndarray]:
        """Run a graph for any size as it will be used: compiled for one. In f32, since rounding is not in question."""
        fixed = graph.clone()
        fixed.reshape(images.shape)
        compiled = self._core.compile_model(fixed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return list(compiled(images).values())

    def _open_fixed(self, size: tuple[int, int]) -> Any:
        """Return the graph for one size of images."""
        if self._int8:
            fixed = self._int8.report["size"]
            if list(fixed) != list(size):
                raise InputError(
                    f"{self._int8.path.name}: this architecture fixes the size, to {fixed[0]}x{fixed[1]}, and these images"
                    f" have {size[0]}x{size[1]}; make it anew with Export_model.py -format openvino -int8 from such images"
                )
            return self._int8.read(self._core)
        name = f"openvino-{self._version}-{size[0]}x{size[1]}"
        graph = self._store.read_openvino(self._core, name)
        if graph is None:
            spec = self._weights.spec
            try:
                graph = to_openvino(self._weights.build(), size)
            except Exception as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"-backend openvino: cannot convert {spec.architecture} {spec.encoder} ({reason}); use -backend torch"
                ) from None
            self._store.keep_openvino(name, graph)
        return graph


class _Request:
    """A request for images of one size, with memory of its own for what goes in and comes out.

    ``InferRequest.infer`` asks the request for its tensors each time, and two threads that do so while images of both run
    may wait for each other for ever (OpenVINO 2026.4). Here the tensors are set once.
    """

    def __init__(self, compiled: Any) -> None:
        import openvino

        self._request = compiled.create_infer_request()
        self._input = np.zeros(tuple(compiled.inputs[0].shape), dtype=np.uint8)
        self._request.set_input_tensor(0, openvino.Tensor(self._input, shared_memory=True))
        self._outputs = [np.zeros(tuple(output.shape), dtype=np.float32) for output in compiled.outputs]
        for index, array in enumerate(self._outputs):
            self._request.set_output_tensor(index, openvino.Tensor(array, shared_memory=True))

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run on one image, ``(1, H, W, channels)`` uint8; the answer is overwritten by the next call."""
        self._input[...] = images
        self._request.start_async()
        self._request.wait()
        return self._outputs
