"""Small datasets and networks that tests share, and a browser."""

import contextlib
import csv
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Small networks gain nothing from more threads, and threads that wait for each other make a busy machine crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

# As ``utils.device.optional`` does: OpenVINO would tell its makers of each conversion, from a process of its own.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# Nothing that imports torch here: the process that hands the tests out to others would wait for it, and they for that.

# (height, width) of the images that make_dataset makes in turn: sizes change in the middle and come back.
SIZES = ((48, 80), (48, 80), (33, 57), (64, 40), (48, 80))

# What takes longest comes first, so that no process is alone with it at the end (see ALL_CORES in the Makefile).
SLOWEST_FIRST = (
    "integration/test_train.py",
    "integration/test_evaluate.py",
    "models/test_architectures.py",
    "web/page/test_main.py",
    "commands/test_publish_weights.py",
    "integration/test_calibrate.py",
    "inference/backends/test_backends.py",
    "integration/test_bad_input.py",
    "reporting/test_exploration_page.py",
    "integration/test_pages_in_browser.py",
    "integration/test_predict_masks.py",
    "integration/test_train_networks.py",
    "integration/test_systems.py",
    "integration/test_train_interrupted.py",
    "reporting/test_evaluation.py",
    "reference/test_recompute.py",
)

# Widths of a U-Net's decoder, which otherwise takes most of a small network's time.
NARROW = (16, 16, 16, 8, 8)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Print what repeats the cases of tests/fuzz where those are run."""
    if "not slow" in config.option.markexpr:
        return []
    from tests.fuzz.chance import CASES, SEED

    return [f"fuzz: FUZZ_SEED={SEED} FUZZ_CASES={CASES}"]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Keep what was imported out of the garbage collector: it stays, and to look through it took a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Give it back: libraries complain of what is never collected."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the slowest files to the front; the tests of a file keep their order."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    folder = Path(__file__).parent
    items.sort(key=lambda item: ranks.get(item.path.relative_to(folder).as_posix(), len(ranks)))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Undo what an earlier test of this process did by -threads: sums of floats depend on the number of threads."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be written without waiting for the disk: what tests write need not outlive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def own_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted networks and what is known of their speed in a folder of the module's own.

    Else a test that measures the network of ``make_weights``, or an earlier run, changes what answers here, and says so.
    """
    with pytest.MonkeyPatch.context() as patch:
        # matplotlib would list all fonts anew.
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR") or str(Path.home() / ".cache/matplotlib"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def no_drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plots of reports empty except in tests marked ``draws``: drawing takes most of an evaluation's time."""
    if "draws" not in request.keywords:
        monkeypatch.setattr("utils.reporting.page.to_svg", lambda figure: "<svg xmlns='http://www.w3.org/2000/svg'/>")


@pytest.fixture
def no_converting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch answer in tests that are not slow: to convert networks for some 20 images takes longer."""
    if "slow" not in request.keywords:
        monkeypatch.setattr("utils.inference.backends.choice.FEWEST", 99)


@pytest.fixture(scope="session")
def make_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a weights file of a random U-Net and names its folder; the same call, the same file."""
    import torch

    from utils.decision.decision import Decision
    from utils.models.factory import build
    from utils.models.spec import ModelSpec
    from utils.weights.weights_file import WeightsFile

    made: dict[tuple, Path] = {}

    def make(
        task: str = "multilabel",
        class_names: tuple[str, ...] = ("pits", "cracks"),
        channels: int = 3,
        input_size: tuple[int, int] | None = None,
        min_area: int = 0,
        max_area: int | None = None,
        target: str | None = None,
        encoder: str = "test_resnet",  # of timm, made for tests
    ) -> Path:
        key = (task, class_names, channels, input_size, min_area, max_area, target, encoder)
        if key not in made:
            decoder = NARROW if encoder == "test_resnet" else ()
            spec = ModelSpec("unet", encoder, task, class_names, channels, target, decoder_channels=decoder)
            torch.manual_seed(1)
            model = build(spec)
            # Spread the logits, so that a random network finds something but not everything.
            torch.nn.init.normal_(model.net.segmentation_head[0].weight, std=0.5)
            weights = WeightsFile(
                spec,
                model.net.state_dict(),
                model.mean,
                model.std,
                input_size,
                Decision.uniform(len(spec.scored_names), 0.5, min_area, max_area or 0),
            )
            folder = tmp_path_factory.mktemp("weights")
            weights.save_named(folder, f"unet-{encoder}-test")
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def make_dataset(tmp_path: Path, write_dataset: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that does what ``write_dataset`` does, in a folder of this test's own."""

    def make(
        count: int = 5, class_names: tuple[str, ...] | None = ("pits", "cracks"), grey: bool = False, name: str = "data"
    ) -> Path:
        return write_dataset(tmp_path / name, count, class_names, grey)

    return make


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    """Return a function that writes a labelled dataset folder: noise with a bright block (class 1) and a dark one (2)."""
    import cv2
    import numpy as np

    from utils.data.rle import encode

    def write(
        root: Path, count: int = 5, class_names: tuple[str, ...] | None = ("pits", "cracks"), grey: bool = False
    ) -> Path:
        (root / "train_images").mkdir(parents=True)
        random = np.random.default_rng(5)
        rows = []
        for number in range(count):
            height, width = SIZES[number % len(SIZES)]
            image = random.integers(90, 160, (height, width) if grey else (height, width, 3), dtype=np.uint8)
            for class_id, value in ((1, 250), (2, 5)):
                if number % 3 == class_id - 1:
                    mask = np.zeros((height, width), np.uint8)
                    mask[5 : 5 + 9 * class_id, 10:30] = 1
                    image[mask > 0] = value
                    rows.append((f"{number:03d}.png", class_id, encode(mask)))
            cv2.imwrite(str(root / "train_images" / f"{number:03d}.png"), image)
        with open(root / "train.csv", "w", newline="") as file:
            csv.writer(file).writerows([("ImageId", "ClassId", "EncodedPixels"), *rows])
        if class_names:
            (root / "classes.txt").write_text("\n".join(class_names))
        return root

    return write


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """Run Chromium or Chrome of the machine, or the one that playwright installs; without one the test is skipped."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), playwright.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip("no browser: apt-get install chromium, or .venv/bin/playwright install chromium")
        # Chromium refuses to start its sandbox as root, as in containers.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of a file: while it is open, no other tests of this process can run an event loop."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def s3_server() -> Iterator[None]:
    """An S3 of this machine, which the environment names; without moto and s3fs the test is skipped."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    yield
    server.stop()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def bucket(s3_server: None) -> str:
    """The URL of an empty bucket."""
    import uuid

    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().call_s3("create_bucket", Bucket=name)
    return f"s3://{name}"
