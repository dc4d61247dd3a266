"""Order, batches, sizes, bad files and bounds of the pipeline, with a network that calls bright pixels a defect."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from utils.data.bit_depth import BitDepth
from utils.decision.decision import Decision
from utils.inference import pipeline as module
from utils.inference import tiles
from utils.inference.inspected import Refused
from utils.inference.network import Outputs
from utils.inference.outputs import index_mask_of
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.single import SingleNetwork, answers
from utils.inference.systems.system import Answer
from utils.inference.tiles import TiledWhereLarge
from utils.models.spec import ModelSpec

SIZES = [(20, 30), (20, 30), (20, 30), (16, 24), (20, 30), (20, 30), (9, 9), (9, 9), (9, 9), (9, 9), (9, 9)]


class Bright:
    """Class 1 is where red is bright, class 2 where it is dark; remembers the batches it saw."""

    name = "bright"

    def __init__(self, parallel: int = 1) -> None:
        self.parallel = parallel
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, images: np.ndarray, choose=None) -> Outputs:
        self.batches.append(images.shape)
        red = torch.from_numpy(images[..., 0]).float()
        return Outputs(torch.stack([red - 200, 50 - red], dim=1), None)


class Gated:
    """Judges by red pixels in the small size, and draws masks in the own size where some are bright there."""

    name, parallel, channels, task, sizes = "gated", 2, 3, "multilabel", ((4, 4), None)

    def answer(self, batch, gates=True):
        answers = []
        for small, own in zip(batch[4, 4], batch[None], strict=True):
            labels = np.float32([small[..., 0].max() / 255])
            masks = Bright()(own[None]).masks[0] if labels[0] > 0.9 or not gates else None
            answers.append(Answer(masks, labels, (12, 0)))
        return answers


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(3)
    made = []
    for number, (height, width) in enumerate(SIZES):
        made.append(tmp_path / f"{number:02d}.png")
        cv2.imwrite(str(made[-1]), random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return made


def make(network, *, channels=3, input_size=None, batch_size=2, min_area=0, skipped=None, describe=True, at_once=None):
    spec = ModelSpec("unet", "resnet18", "multilabel", ("bright", "dark"), channels)
    return InspectionPipeline(
        SingleNetwork(network, spec, input_size),
        Decision((0.5, 0.5), (min_area, min_area)),
        batch_size=batch_size,
        describe=describe,
        at_once=at_once,
        on_skip=(skipped if skipped is not None else []).append,
    )


def red(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., 2]


def test_results_come_in_order_at_each_images_own_size(paths):
    network = Bright()
    results = list(make(network).run(paths, lambda path, result: (result.masks, result.image.shape)))
    assert [path for path, _ in results] == paths
    for path, (masks, shape) in results:
        assert shape == (*red(path).shape, 3)
        np.testing.assert_array_equal(masks, [red(path) >= 200, red(path) <= 50])


def test_only_images_of_equal_size_that_follow_each_other_share_a_batch(paths):
    network = Bright()
    list(make(network).run(paths, lambda path, result: None))
    assert network.batches == [
        *[(2, 20, 30, 3), (1, 20, 30, 3)],
        (1, 16, 24, 3),
        (2, 20, 30, 3),
        *[(2, 9, 9, 3), (2, 9, 9, 3), (1, 9, 9, 3)],
    ]


def test_with_an_input_size_all_images_share_batches_and_masks_keep_their_own_size(paths):
    network = Bright()
    results = list(make(network, input_size=(10, 15), batch_size=4).run(paths, lambda path, result: result.masks.shape))
    assert network.batches == [(4, 10, 15, 3), (4, 10, 15, 3), (3, 10, 15, 3)]
    assert [shape for _, shape in results] == [(2, *size) for size in SIZES]


def test_few_large_images_wait_at_once_and_each_is_judged_alone(paths, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 600)  # one of these images
    network, waiting, most = Bright(), [0], [0]
    pipeline = make(network, batch_size=4, at_once=600)
    load = pipeline._load

    def counted(path, folder):
        waiting[0] += 1
        most[0] = max(most[0], waiting[0])
        return load(path, folder)

    def finish(path, result):
        waiting[0] -= 1
        return result.masks.shape

    monkeypatch.setattr(pipeline, "_load", counted)
    shapes = [shape for _, shape in pipeline.run(paths[:3] + paths[4:6], finish)]
    assert shapes == [(2, 20, 30)] * 5
    assert network.batches == [(1, 20, 30, 3)] * 5
    assert most[0] <= 5  # one read, one more in its batch, two that run, one that is finished


def test_images_two_of_which_are_too_many_are_finished_before_the_next_is_judged(paths, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 1000)  # the images have 600 pixels
    network, finished = Bright(), []

    def finish(path, result):
        assert len(network.batches) == len(finished) + 1
        finished.append(path)
        return result.masks.shape

    large = [paths[number] for number in (0, 1, 2, 4, 5)]
    assert [path for path, _ in make(network, batch_size=4, at_once=10_000).run(large, finish)] == finished == large
    assert network.batches == [(1, 20, 30, 3)] * 5


def test_grey_networks_see_one_channel(paths):
    network = Bright()
    list(make(network, channels=1, input_size=(8, 8)).run(paths[:1], lambda path, result: None))
    assert network.batches == [(1, 8, 8, 1)]


def test_a_bad_image_is_told_and_the_rest_is_complete(paths):
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    paths[7].write_text("not an image")
    paths[9].unlink()
    skipped: list[Refused] = []
    done = [path for path, _ in make(Bright(), skipped=skipped).run(paths, lambda path, result: None)]
    assert done == [path for path in paths if path not in (paths[4], paths[7], paths[9])]
    assert [image.name for image in skipped] == [str(paths[number]) for number in (4, 7, 9)]
    assert [image.reason for image in skipped][1:] == ["not an image", "no such image"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("input_size", [None, (8, 8)])
@pytest.mark.parametrize("describe", [True, False])
def test_an_answer_that_is_not_finite_is_told_and_the_rest_is_complete(paths, value, input_size, describe):
    class Breaks(Bright):
        def __call__(self, images, choose=None):
            outputs = super().__call__(images)
            if len(self.batches) == 2:
                outputs.masks[0, 1, -1, -1] = value
            return outputs

    skipped: list[Refused] = []
    pipeline = make(Breaks(), input_size=input_size, skipped=skipped, describe=describe)
    done = [path for path, _ in pipeline.run(paths, lambda path, result: None)]
    assert done == [path for path in paths if path != paths[2]]
    assert skipped == [Refused(str(paths[2]), "the network's answer is not finite (nan or infinity)")]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_labels_that_are_not_finite_are_told(paths, value):
    class Judges(Bright):
        def __call__(self, images, choose=None):
            return Outputs(None, torch.tensor([[0.5, value]]).expand(len(images), 2))

    skipped: list[Refused] = []
    spec = ModelSpec("classifier", "resnet18", "classify-multilabel", ("bright", "dark"))
    system = SingleNetwork(Judges(), spec, (8, 8))
    pipeline = InspectionPipeline(system, Decision((), ()), on_skip=skipped.append)
    assert list(pipeline.run(paths[:3], lambda path, result: None)) == []
    assert [image.name for image in skipped] == [str(path) for path in paths[:3]]


def test_small_defects_are_dropped_with_and_without_description(paths):
    described = dict(make(Bright(), min_area=6).run(paths, lambda path, result: (result.masks, result.defects)))
    plain = dict(
        make(Bright(), min_area=6, describe=False).run(paths, lambda path, result: (result.masks, result.defects))
    )
    for path in paths:
        np.testing.assert_array_equal(described[path][0], plain[path][0])
        assert (described[path][1]["area_px"] >= 6).all()
        assert described[path][1]["area_px"].sum() == described[path][0].sum()
        assert not len(plain[path][1])
    assert any(len(defects) for _, defects in described.values())
    assert sum(masks.sum() for masks, _ in plain.values()) < sum((red(path) >= 200).sum() for path in paths) * 2


def test_logits_are_at_the_images_own_size(paths):
    shapes = [
        shape for _, shape in make(Bright(), input_size=(8, 8)).run(paths, lambda path, result: result.logits.shape)
    ]
    assert shapes == [(2, *size) for size in SIZES]


def test_reading_stops_where_the_consumer_stops(paths, monkeypatch):
    read = []
    original = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path, *more: (read.append(path), original(path, *more))[1])
    many = paths[6:] * 40
    pipeline = make(Bright(), batch_size=2)
    results = pipeline.run(many, lambda path, result: None)
    next(results)
    time.sleep(0.2)
    # Behind the network as many may wait as before it, and a batch more; a batch is in the middle; and the image that
    # ended that batch, and the one read in its place.
    assert len(read) <= 2 * pipeline.window + 2 * pipeline.batch_size + 2 < len(many)
    results.close()
    assert len(read) < len(many)


def test_of_large_images_fewer_wait(paths, monkeypatch):
    read = []
    original = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path, *more: (read.append(path), original(path, *more))[1])
    monkeypatch.setattr(module, "MOST_WAITING", 3 * 9 * 9)
    many = paths[6:] * 40
    results = make(Bright(), batch_size=8).run(many, lambda path, result: None)
    next(results)
    time.sleep(0.2)
    # Three before the network, a batch of three in it, three behind it, one batch more, and what was read in their place.
    assert len(read) <= 5 * 3 + 1
    assert [path for path, _ in results] == many[1:]


@pytest.mark.parametrize(
    ("at_once", "parallel", "largest"),
    [
        (3 * 128 * 128, 1, 3),
        (3 * 128 * 128, 3, 3),
        (100, 2, 1),  # a single image always goes
        (None, 1, 8),
    ],
)
def test_networks_see_only_so_many_pixels_at_once(paths, at_once, parallel, largest):
    lock, inside, seen = threading.Lock(), [0], []

    class Watched(Bright):
        def __call__(self, images, choose=None):
            with lock:
                inside[0] += len(images)
                seen.append(inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= len(images)
            return super().__call__(images)

    many = paths[:3] * 6
    pipeline = make(Watched(parallel=parallel), batch_size=8)
    pipeline.at_once = at_once
    found = [int(bright) for _, bright in pipeline.run(many, lambda path, result: result.masks.sum())]
    assert max(seen) == largest
    assert found == found[:3] * 6


def test_threads_end_with_the_run(paths):
    before = threading.active_count()
    results = make(Bright()).run(paths, lambda path, result: None)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_an_error_behind_the_network_ends_the_run(paths):
    def full_disk(path, result):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(make(Bright()).run(paths, full_disk))


def test_no_images_give_no_results():
    assert list(make(Bright()).run([], lambda path, result: None)) == []


def test_several_batches_run_at_once_and_the_order_stays(paths):
    class Slow(Bright):
        """Lets a batch wait until as many run as may, and the first longest."""

        together = threading.Barrier(3, timeout=10)

        def __call__(self, images, choose=None):
            self.together.wait()
            time.sleep(0.05 if len(self.batches) == 0 else 0)
            return super().__call__(images)

    results = make(Slow(parallel=3), input_size=(8, 8)).run(paths + paths[:1], lambda path, result: result.masks.sum())
    assert [path for path, _ in results] == paths + paths[:1]


def test_a_system_sees_every_size_and_its_gate_leaves_empty_masks(paths):
    def run(gates):
        pipeline = InspectionPipeline(Gated(), Decision((0.5, 0.5), (0, 0)), batch_size=2, gates=gates)
        return list(pipeline.run(paths, lambda path, result: result))

    gated, opened = run(True), run(False)
    assert [path for path, _ in gated] == paths
    turned_away = [result for _, result in gated if result.labels[0] <= 0.9]
    assert 0 < len(turned_away) < len(paths)
    for result in turned_away:
        assert result.logits is None
        assert result.masks.shape == (2, *result.image.shape[:2])
        assert not result.masks.any()
        assert not len(result.defects)
    for path, result in opened:
        assert result.logits.shape == (2, *red(path).shape)
        areas = result.defects["area_px"][result.defects["class_id"] == 1]
        assert (areas >= 12).all()  # the answer's own smallest area


def test_labels_become_probabilities():
    (first, second) = answers(Outputs(None, torch.tensor([[0.0, 2.0], [-2.0, 1.0]])), 2)
    assert (first.masks, second.masks) == (None, None)
    np.testing.assert_allclose([first.labels[0], first.labels[1] + second.labels[0]], [0.5, 1.0])


def seen(pipeline, paths):
    return {path.name: int(image.max()) for path, image in pipeline.run(paths, lambda path, result: result.image)}


def deep(folder, **levels):
    for name, level in levels.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((8, 8), level, np.uint16))
    return [folder / f"{name}.png" for name in levels]


def test_deep_images_are_read_by_one_depth_measured_over_all_of_them(tmp_path):
    paths = deep(tmp_path, dark=240, light=4000)
    pipeline = make(Bright())
    assert seen(pipeline, paths) == {"dark.png": 240 >> 4, "light.png": 4000 >> 4}
    assert pipeline.depth == BitDepth(12)
    assert seen(pipeline, paths[:1]) == {"dark.png": 240 >> 4}  # a second pass, as for the pictures of a report


def test_a_deep_image_that_exceeds_the_depth_of_the_training_is_skipped_by_name(tmp_path):
    skipped: list[Refused] = []
    pipeline = make(Bright(), skipped=skipped)
    pipeline.depth = BitDepth(10)
    assert seen(pipeline, deep(tmp_path, dark=240, light=4000)) == {"dark.png": 240 >> 2}
    (refused,) = skipped
    assert refused.name.endswith("light.png")
    assert "up to 4000, more than the 10 bits that images are read by (-bit_depth 12 holds them)" in refused.reason


@pytest.fixture
def pieces(monkeypatch):
    for name, value in (("LARGE", 200), ("LARGE_TILE", 16), ("LARGE_SHARED", 4)):
        monkeypatch.setattr(tiles, name, value)


def in_pieces(network, keep_logits: bool, skipped: list[Refused]) -> InspectionPipeline:
    spec = ModelSpec("unet", "resnet18", "multilabel", ("bright", "dark"))
    decision = Decision((0.5, 0.5), (2, 2))
    system = SingleNetwork(TiledWhereLarge(network), spec, None)
    return InspectionPipeline(system, decision, keep_logits=keep_logits, batch_size=1, on_skip=skipped.append)


def test_large_images_decided_piece_by_piece_are_decided_as_a_whole(paths, pieces):
    def seen(path: Path, result):
        return result.masks, result.defects, result.logits is None, index_mask_of(result, "multilabel", None)

    skipped: list[Refused] = []
    whole = list(in_pieces(Bright(), True, skipped).run(paths, seen))
    parts = list(in_pieces(Bright(), False, skipped).run(paths, seen))
    assert [path for path, _ in parts] == paths
    assert skipped == []
    for (_, (masks, defects, dropped, index)), (_, (same, again, gone, drawn)), size in zip(
        whole, parts, SIZES, strict=True
    ):
        assert len(defects)
        assert np.array_equal(masks, same)
        assert np.array_equal(defects, again)
        assert np.array_equal(index, drawn)
        assert (dropped, gone) == (False, size[0] * size[1] > 200)


def test_large_image_with_an_answer_that_is_not_finite_is_skipped(paths, pieces):
    class Broken(Bright):
        def __call__(self, images: np.ndarray, choose=None) -> Outputs:
            masks = super().__call__(images).masks
            masks[..., -1, -1] = torch.nan
            return Outputs(masks, None)

    skipped: list[Refused] = []
    assert list(in_pieces(Broken(), False, skipped).run(paths[:1], lambda path, result: None)) == []
    assert [refused.name for refused in skipped] == [str(paths[0])]


@pytest.mark.parametrize("keep_logits", [True, False])
def test_a_large_image_of_which_little_is_kept_is_finished_while_the_next_is_judged(
    paths, pieces, monkeypatch, keep_logits
):
    monkeypatch.setattr(module, "MOST_WAITING", 1000)  # the images have 600 pixels
    next_is_judged = threading.Event()

    class Telling(Bright):
        def __call__(self, images, choose=None):
            if self.batches:  # one call an image
                next_is_judged.set()
            return super().__call__(images)

    finishing: list[Path] = []

    def finish(path, result):
        finishing.append(path)
        return len(finishing) > 1 or next_is_judged.wait(0.2 if keep_logits else 10)

    large = [paths[number] for number in (0, 1, 2)]
    met = [met for _, met in in_pieces(Telling(), keep_logits, []).run(large, finish)]
    assert met == [not keep_logits, True, True]
