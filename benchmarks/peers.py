"""Prediction beside what people would pick instead: strips of 256x1600, JPEG files in, masks as PNG out.

Every peer runs as a process of its own, on the same cores, with its best settings for CPUs: this project by ``-backend
openvino``; ``script``, SMP's U-Net in a plain loop of torch (``todays_script.py``); torchvision's DeepLabV3-MobileNetV3 and
Ultralytics' YOLO11n-seg exported to OpenVINO. Ultralytics is under the AGPL: it lives in an environment of its own, which
``-ultralytics`` names, is never imported here, and its row is left out without one. Peers have random weights where they
ship none for steel, so only times are compared; YOLO then finds nothing, which spares it the drawing of masks.

anomalib does not fit: it learns from images without defects and tells no classes.

    python benchmarks/peers.py -images STRIPS
    python benchmarks/peers.py -images STRIPS -ultralytics VENV/bin/python
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.data.listing import list_images
from utils.device import cpu_has_bf16
from utils.errors import InputError

ROOT = Path(__file__).parents[1]
PEERS = ("project", "script", "deeplab", "ultralytics")

# Each program takes the folder of images, the folder of results, threads and weights, and prints one line of JSON: seconds
# and processor seconds of the second pass over the images, the first of which compiles.
PROJECT = """
import json, sys, time
from pathlib import Path
from config import PredictConfig
from utils.commands.predict_folder import predict_folder
images, out, threads, weights, precision = sys.argv[1:]
config = PredictConfig(images=Path(images), out=Path(out), weights_dir=Path(weights), save=("masks",), backend="openvino",
                       precision=precision, threads=int(threads))
predict_folder(config)
cpu = time.process_time()
seconds = predict_folder(config).seconds
print(json.dumps([seconds, time.process_time() - cpu]))
"""
SCRIPT = """
import json, sys, time
from pathlib import Path
import cv2, numpy, torch
from benchmarks.todays_script import post_process
from utils.weights.finding import open_weights
images, out, threads, weights = sys.argv[1:]
torch.set_num_threads(int(threads))
file = open_weights(Path(weights))
net, mean, std = file.build().net.eval(), numpy.array(file.mean), numpy.array(file.std)
for _ in range(2):
    start, cpu = time.perf_counter(), time.process_time()
    for path in sorted(Path(images).iterdir()):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        batch = torch.from_numpy(((image / 255.0 - mean) / std).astype(numpy.float32).transpose(2, 0, 1))[None]
        with torch.no_grad():
            probabilities = torch.sigmoid(net(batch))[0].numpy()
        index = numpy.zeros(image.shape[:2], numpy.uint8)
        for number, (plane, one) in enumerate(zip(probabilities, file.decision.per_class)):
            index[post_process(plane, one.threshold, one.min_area) > 0] = number + 1
        cv2.imwrite(str(Path(out) / (path.stem + ".png")), index)
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
"""
DEEPLAB = """
import json, sys, time
from pathlib import Path
import cv2, numpy, openvino, torch
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
images, out, threads, _ = sys.argv[1:]
class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    def forward(self, images):
        return self.net(images)["out"]
paths = sorted(Path(images).iterdir())
shape = cv2.imread(str(paths[0])).shape[:2]
example = torch.zeros(1, 3, *shape)
graph = openvino.convert_model(Plain().eval(), example_input=example, input=[[1, 3, *shape]])
compiled = openvino.Core().compile_model(
    graph, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": int(threads)})
jobs = openvino.AsyncInferQueue(compiled)
def done(request, path):
    index = request.get_output_tensor(0).data[0].argmax(0).astype(numpy.uint8)
    cv2.imwrite(str(Path(out) / (path.stem + ".png")), index)
jobs.set_callback(done)
mean, std = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
for _ in range(2):
    start, cpu = time.perf_counter(), time.process_time()
    for path in paths:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        jobs.start_async({0: ((image / numpy.float32(255) - mean) / std).transpose(2, 0, 1)[None]}, path)
    jobs.wait_all()
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
"""
ULTRALYTICS = """
import json, os, sys, time
from pathlib import Path
images, out, threads, _ = map(os.path.abspath, sys.argv[1:])
threads = int(sys.argv[3])
os.chdir(out)
import cv2, numpy, torch
torch.set_num_threads(threads)
from ultralytics import YOLO
paths = sorted(Path(images).iterdir())
size = [-(-side // 32) * 32 for side in cv2.imread(str(paths[0])).shape[:2]]
network = YOLO("yolo11n-seg.yaml")
network.save("network.pt")
exported = YOLO("network.pt").export(format="openvino", imgsz=size, verbose=False)
network = YOLO(exported, task="segment")
for _ in range(2):
    start, cpu = time.perf_counter(), time.process_time()
    for path in paths:
        (found,) = network.predict(str(path), imgsz=size, verbose=False, retina_masks=True)
        index = numpy.zeros(found.orig_shape, numpy.uint8)
        if found.masks is not None:
            for mask, kind in zip(found.masks.data.numpy(), found.boxes.cls.numpy()):
                index[mask > 0] = int(kind) + 1
        cv2.imwrite(str(Path(out) / (path.stem + ".png")), index)
print()
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu]))
"""
PROGRAMS = dict(zip(PEERS, (PROJECT, SCRIPT, DEEPLAB, ULTRALYTICS), strict=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeersConfig:
    """What this benchmark does."""

    images: Path = flag("folder of images of one size, as strips of 256x1600")
    peers: tuple[str, ...] = flag(", ".join(PEERS), PEERS)
    weights_dir: Path = flag("weights of this project and of the script", Path("weights"))
    ultralytics: Path | None = flag("python of an environment with ultralytics and openvino; none: without it", None)
    precision: str | None = flag("f32, bf16 or int8 of this project; none: bf16 where the processor has it", None)
    threads: int = flag("CPU threads", 2, low=1)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/peers.csv")


def main(argv: Sequence[str]) -> int:
    """Measure, write and print."""
    config = parse(PeersConfig, argv, "peers.py", "Time prediction beside other projects.")
    unknown = [peer for peer in config.peers if peer not in PEERS]
    if unknown:
        raise InputError(f"-peers {','.join(unknown)}: choose from {', '.join(PEERS)}")
    count = len(list_images(config.images)) if config.images.is_dir() else 0
    if not count:
        raise InputError(f"-images {config.images}: expected a folder of images")
    rows = []
    for peer in config.peers:
        python = str(config.ultralytics) if peer == "ultralytics" else sys.executable
        if peer == "ultralytics" and config.ultralytics is None:
            print("ultralytics: left out; -ultralytics names the python of an environment that has it", file=sys.stderr)
            continue
        seconds, cpu = measure(config, peer, python)
        figures = {"ms_per_image": round(1e3 * seconds / count, 2), "cpu_ms_per_image": round(1e3 * cpu / count, 2)}
        rows.append({"peer": peer, "images": count, **figures})
    own = next((row for row in rows if row["peer"] == "project"), None)
    for row in rows:
        row["times_project"] = round(row["ms_per_image"] / own["ms_per_image"], 2) if own else ""
        row["load_average"] = round(os.getloadavg()[0], 1)
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    packages = ("torch", "torchvision", "openvino", "segmentation-models-pytorch")
    write_rows(config.out, [{**row, **facts(config.threads, *packages)} for row in rows])
    return DONE


def measure(config: PeersConfig, peer: str, python: str) -> tuple[float, float]:
    """Run a peer's program in its own interpreter; return its seconds of wall and of processor time.

    Raises:
        InputError: the program ended with an error, whose last line is told.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [str(config.images.resolve()), folder, str(config.threads), str(config.weights_dir)]
        if peer == "project":
            words.append(config.precision or ("bf16" if cpu_has_bf16() else "f32"))
        said = call([python, "-c", PROGRAMS[peer], *words], peer, config.threads, own=peer != "ultralytics")
    seconds, cpu = json.loads(said.strip().splitlines()[-1])
    return seconds, cpu


def call(command: Sequence[str], name: str, threads: int, own: bool = False) -> str:
    """Run a program on so many threads, and return what it printed.

    Args:
        command: its words.
        name: of the peer.
        threads: of its libraries.
        own: whether it sees this project.

    Raises:
        InputError: it ended with an error, whose last line is told.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)
    if own:
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()
        raise InputError(f"{name}: {last[-1] if last else f'exit code {done.returncode}'}")
    return done.stdout


if __name__ == "__main__":
    run(main)
