"""One network for many callers: what they get is what the command line gives, in order, within bounds, until it closes."""

import csv
import dataclasses
import functools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from config import PredictConfig, ServeConfig
from tests.web.red import Red, about, make_inspector, pixels, png
from utils.commands.predict import predict
from utils.data.rle import encode
from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.decision.masks import DEFECT
from utils.inference.chosen import choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.systems.gated import NEVER
from utils.inspection import batching
from utils.inspection.batching import Busy, Closing
from utils.inspection.inspector import Inspector, as_prediction
from utils.inspection.redeciding import redecide
from utils.inspection.upload import Upload


@pytest.fixture
def red():
    return Red()


@pytest.fixture
def make(red):
    made = []

    def make(**settings) -> Inspector:
        made.append(make_inspector(red, **settings))
        return made[-1]

    yield make
    red.go.set()
    for inspector in made:
        inspector.close(10)


@pytest.mark.parametrize(
    ("task", "input_size", "channels", "high"),
    [
        ("multilabel", None, 3, None),
        # A high threshold is looked at in the next case, too.
        pytest.param("multilabel", None, 3, 0.8, marks=pytest.mark.slow),
        ("multiclass", (32, 64), 3, 0.8),
        ("binary", (32, 64), 1, None),
    ],
)
def test_answers_equal_the_command_lines_to_the_pixel(
    make_dataset, make_weights, tmp_path, task, input_size, channels, high
):
    root = make_dataset()
    # Some defects of the larger network are sure, none of the smaller one's.
    encoder = "resnet18" if high else "test_resnet"
    folder = make_weights(task=task, input_size=input_size, channels=channels, encoder=encoder)
    out = tmp_path / "out"
    flags = {"weights_dir": folder, "backend": "torch", "precision": "f32", "high_threshold": high}
    predict(PredictConfig(dir=root, out=out, **flags))
    with open(out / "submission.csv", newline="") as file:
        codes = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    with open(out / "defects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    paths = sorted((root / "train_images").iterdir()) * 2
    with Inspector.open(ServeConfig(**flags)) as inspector:
        answers = inspector.inspect([Upload(path.name, path.read_bytes()) for path in paths], keep_logits=True)
        decoded = inspector.inspect([Upload(p.name, cv2.imread(str(p))[..., ::-1]) for p in paths])
        known = inspector.about
    assert [answer.name for answer in answers] == [path.name for path in paths]
    for answer, other in zip(answers, decoded, strict=True):
        for class_id, mask in enumerate(answer.masks, start=1):
            assert (encode(mask) if mask.any() else "") == codes[f"{answer.name}_{class_id}"]
        mine = [row for row in rows if row["image"] == answer.name]
        assert [int(row["area_px"]) for row in mine] == answer.defects["area_px"].tolist()
        # Images that share a batch may differ in the last digit, on which the rounding to four places then turns.
        told = [float(row["mean_probability"]) for row in mine]
        assert told == pytest.approx(answer.defects["mean_probability"].tolist(), abs=6e-5)
        assert known.found(answer) == tuple(dict.fromkeys(row["name"] for row in mine))
        assert known.verdict(answer) == ("defective" if mine else "clean")
        np.testing.assert_array_equal(answer.masks, other.masks)
        again = redecide(answer, known.decision, task=known.task)
        np.testing.assert_array_equal(answer.masks, again.masks)
        np.testing.assert_array_equal(answer.defects, again.defects)
    assert any(len(answer.defects) for answer in answers)


def test_deciding_anew_follows_thresholds_and_areas(make):
    image = pixels(100)
    image[:4, :4, 0], image[6:, 6:, 0] = 200, 203  # logits 0.5 and 3.5
    answer = make().inspect([Upload("a", image)], keep_logits=True)[0]
    known = about()
    assert (known.verdict(answer), known.found(answer)) == ("defective", ("bright",))
    assert answer.defects["area_px"].tolist() == [16, 4]
    anew = functools.partial(redecide, task=known.task)
    assert anew(answer, Decision((0.9, 0.5), (0, 0))).defects["area_px"].tolist() == [4]
    assert anew(answer, Decision((0.5, 0.5), (5, 0))).defects["area_px"].tolist() == [16]
    assert anew(answer, Decision((0.5, 0.5), (0, 0), (5, None))).defects["area_px"].tolist() == [4]
    assert anew(answer, Decision((0.5, 0.5), (0, 0), (), (0.9, 0.0))).defects["area_px"].tolist() == [4]
    nothing = anew(answer, Decision((1.0, 0.5), (0, 0)))
    assert (known.verdict(nothing), known.found(nothing), nothing.masks.any()) == ("clean", (), False)
    with pytest.raises(ValueError, match="thresholds"):
        anew(answer, Decision((0.5,), (0,)))


def test_deciding_anew_keeps_what_the_gate_said():
    logits = np.full((2, 10, 20), -1, np.float32)
    logits[0, :3, :3] = logits[0, :2, 10:13] = logits[1, 5:, :] = 1  # 9 and 6 pixels of class 1, 100 of class 2
    gate, labels = Gate("soft", None, (0.1, 0.95), 3.0), np.float32([0.5, 0.9])
    masks, defects = np.zeros((2, 10, 20), bool), np.zeros(0, DEFECT)
    plain = Inspected("a", pixels(0, (10, 20)), masks, defects, labels, (4, 4), torch.from_numpy(logits))
    gated = dataclasses.replace(plain, min_areas=(gate.areas((4, 4), labels)[0], NEVER))
    assert gated.min_areas[0] == 8

    def areas(inspected: Inspected, min_areas: tuple[int, ...], gate: Gate | None) -> list[int]:
        anew = redecide(inspected, Decision((0.5, 0.5), min_areas), task="multilabel", gate=gate)
        return anew.defects["area_px"].tolist()

    assert areas(plain, (4, 4), None) == [9, 6, 100]
    assert areas(gated, (4, 4), gate) == [9]
    assert areas(gated, (2, 2), gate) == [9, 6]
    assert areas(gated, (5, 2), gate) == []


def test_without_logits_deciding_anew_changes_nothing(make):
    answer = make().inspect([Upload("a", pixels(200))])[0]
    assert answer.logits is None
    assert redecide(answer, Decision((1.0, 1.0), (0, 0)), task="multilabel") is answer


def test_every_caller_gets_the_answers_to_its_own_images_in_order(make):
    inspector = make(room=16)
    random = np.random.default_rng(1)

    def call(number: int) -> bool:
        images = [random.integers(0, 256, (8 + number % 3, 8, 3), dtype=np.uint8) for _ in range(12)]
        answers = inspector.inspect([Upload(f"{number}-{k}", image) for k, image in enumerate(images)])
        return all(
            answer.name == f"{number}-{k}" and np.array_equal(answer.masks, [image[..., 0] >= 200, image[..., 0] <= 9])
            for k, (answer, image) in enumerate(zip(answers, images, strict=True))
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(24)))
    assert inspector.inside == 0


def test_images_of_equal_size_share_batches(make, red):
    red.parallel = 1
    inspector = make()
    red.go.clear()
    # The runner is held with one image; what comes meanwhile waits and is gathered.
    held = inspector.submit([Upload("held", pixels(100, (4, 4)))])
    wait_until(lambda: not inspector._batches._idle)
    sizes = [(8, 8), (9, 9), (8, 8), (8, 8), (9, 9), (8, 8), (8, 8)]
    futures = inspector.submit([Upload(str(k), pixels(k, size)) for k, size in enumerate(sizes)])
    wait_until(lambda: len(inspector._batches._ready) == len(sizes))
    red.go.set()
    assert [future.result(60).image.shape[:2] for future in futures] == sizes
    assert held[0].result(60).name == "held"
    # Which size comes first depends on the threads that decode.
    assert sorted(red.batches[1:]) == [(1, 8, 8, 3), (2, 9, 9, 3), (4, 8, 8, 3)]


def test_images_are_shared_among_those_that_have_nothing_to_do(make, red):
    inspector = make(wait=5.0)
    wait_until(lambda: inspector._batches._idle == red.parallel)
    red.go.clear()  # a runner that is done early would be one more to share with
    futures = inspector.submit([Upload(str(k), pixels(100)) for k in range(4)])
    wait_until(lambda: not inspector._batches._idle)
    red.go.set()
    assert [future.result(60).name for future in futures] == list("0123")
    assert red.batches == [(2, 8, 8, 3), (2, 8, 8, 3)]


def test_a_lone_image_does_not_wait_for_others(make):
    inspector = make(wait=300.0)
    start = time.monotonic()
    inspector.inspect([Upload("a", pixels(1))])
    assert time.monotonic() - start < 60


def wait_until(true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


BAD = {
    "empty": b"",
    "not_an_image": b"%PDF-1.7 something",
    "truncated": png(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))[:800],
    "damaged": png(pixels(5))[:20],
    "too_many_pixels": png(pixels(0, (101, 100))),
}


def test_bad_images_are_refused_one_by_one_and_the_others_answered(make):
    inspector = make(most_pixels=10_000)
    uploads = [Upload("first", pixels(200)), *(Upload(code, data) for code, data in BAD.items()), Upload("last", b"x")]
    uploads[-1] = Upload("last", png(pixels(100)))
    answers = inspector.inspect(uploads)
    assert [answer.name for answer in answers] == ["first", *BAD, "last"]
    assert [about().verdict(answer) for answer in (answers[0], answers[-1])] == ["defective", "clean"]
    refused = answers[1:-1]
    assert all(isinstance(answer, Refused) for answer in refused)
    assert [answer.code for answer in refused] == list(BAD)
    assert all(answer.reason.endswith(".") and "\n" not in answer.reason for answer in refused)
    assert inspector.inside == 0


@pytest.mark.parametrize("size", [(2048, 12_000), (1024, 16_384)])
def test_frames_of_line_scans_are_inspected_with_the_limits_of_the_server(make, size):
    frame = np.full(size, 100, np.uint8)
    frame[500:520, -300:-200] = 250
    inspector = make(most_pixels=ServeConfig().max_pixels)
    upload = Upload("frame.png", cv2.imencode(".png", frame)[1].tobytes())
    assert inspector.pixels([upload]) == frame.size  # the request gets more time
    (answer,) = inspector.inspect([upload])
    assert isinstance(answer, Inspected)
    assert answer.defects[["x", "y", "width", "height"]].tolist() == [(size[1] - 300, 500, 100, 20)]


def test_large_frames_go_through_one_after_the_other(make, red):
    inspector = make(most_pixels=30_000_000, room=8)
    red.go.clear()
    frame = np.full((4000, 6000), 100, np.uint8)
    futures = inspector.submit([Upload(str(k), frame) for k in range(3)])
    time.sleep(0.5)
    inside = inspector._batches
    assert sum(job.loaded is not None for job in inside._ready) + bool(inside._running) <= 1
    red.go.set()
    assert all(isinstance(future.result(120), Inspected) for future in futures)


def test_one_image_that_breaks_the_network_does_not_spoil_its_batch(make, red, caplog):
    inspector = make()
    red.go.clear()
    futures = inspector.submit([Upload(str(value), pixels(value)) for value in (100, 13, 200, 14, 15)])
    time.sleep(0.1)
    red.go.set()
    answers = [future.result(60) for future in futures]
    assert [answer.code if isinstance(answer, Refused) else about().verdict(answer) for answer in answers] == [
        "clean",
        "failed",
        "defective",
        "out_of_memory",
        "not_finite",
    ]
    number = answers[1].reason.split("error, ")[1].split()[0]
    assert number in caplog.text
    assert "a bug" in caplog.text
    assert "a bug" not in answers[1].reason


def test_a_full_house_turns_all_images_of_a_call_away(make, red):
    inspector = make(room=3)
    red.go.clear()
    accepted = inspector.submit([Upload("a", pixels(200)), Upload("b", pixels(100))])
    with pytest.raises(Busy) as busy:
        inspector.submit([Upload("c", pixels(0)), Upload("d", pixels(0))])
    assert busy.value.retry_after >= 1
    assert inspector.inside == 2
    assert inspector.inspect([Upload("e", pixels(0))] * 3, timeout=0.2)[-1].code in ("busy", "timeout")
    red.go.set()
    assert [about().verdict(future.result(60)) for future in accepted] == ["defective", "clean"]
    assert len(inspector.inspect([Upload("c", pixels(0))] * 10)) == 10


def test_what_takes_too_long_is_refused_and_not_run(make, red):
    inspector = make()
    red.go.clear()
    held = [inspector.submit([Upload("held", pixels(100, (4, side)))]) for side in (3, 4)]
    time.sleep(0.2)
    assert inspector.inspect([Upload("late", pixels(0, (5, 5)))], timeout=0.1) == [
        Refused("late", "The inspection took too long; send fewer or smaller images.", "timeout")
    ]
    red.go.set()
    assert all(about().verdict(one[0].result(60)) == "clean" for one in held)
    inspector.close(10)
    assert (1, 5, 5, 3) not in red.batches


def test_decoded_pixels_are_bounded_too(make, red):
    inspector = make(most_pixels=64, room=64)
    red.go.clear()
    futures = inspector.submit([Upload(str(k), pixels(k)) for k in range(20)])
    time.sleep(0.3)
    assert sum(job.loaded is not None for job in inspector._batches._ready) <= 4
    red.go.set()
    assert [future.result(60).name for future in futures] == [str(k) for k in range(20)]


def test_thin_images_take_of_that_bound_what_the_network_makes_of_them(make, red):
    inspector = make(most_pixels=64 * 32, room=64)
    red.go.clear()
    futures = inspector.submit([Upload(str(k), pixels(k, (1, 64))) for k in range(20)])
    time.sleep(0.3)
    assert sum(job.loaded is not None for job in inspector._batches._ready) <= 4
    red.go.set()
    assert [future.result(60).name for future in futures] == [str(k) for k in range(20)]


@pytest.mark.parametrize(
    ("most", "least", "largest"),
    [
        pytest.param(3 * 128 * 128, 0, 3, id="as many pixels as one image may have"),
        pytest.param(128 * 128, 0, 1, id="an image of the largest size goes alone"),
        pytest.param(100, 0, 1, id="so does one that the network makes larger than that"),
        pytest.param(128 * 128, 5 * 128 * 128, 5, id="small images share batches all the same"),
    ],
)
def test_networks_see_only_so_many_pixels_at_once(monkeypatch, most, least, largest):
    monkeypatch.setattr(batching, "MOST_AT_ONCE", least)
    lock, inside, seen = threading.Lock(), Counter(), []

    class Watched(Red):
        def __call__(self, images, choose=None):
            with lock:
                inside["images"] += len(images)
                seen.append(inside["images"])
            time.sleep(0.02)
            with lock:
                inside["images"] -= len(images)
            return super().__call__(images, choose)

    with make_inspector(Watched(), most_pixels=most, room=16) as inspector:
        answers = inspector.inspect([Upload(str(k), pixels(250)) for k in range(12)])
    assert [answer.name for answer in answers if isinstance(answer, Inspected)] == [str(k) for k in range(12)]
    assert max(seen) <= largest


def test_closing_finishes_what_was_accepted_and_refuses_the_rest(make, red):
    before = threading.active_count()
    inspector = make()
    red.go.clear()
    futures = inspector.submit([Upload(str(k), pixels(200)) for k in range(6)])
    closed = []
    closer = threading.Thread(target=lambda: closed.append(inspector.close()))
    closer.start()
    time.sleep(0.1)
    with pytest.raises(Closing):
        inspector.submit([Upload("late", pixels(0))])
    assert inspector.inspect([Upload("late", pixels(0))])[0].code == "closing"
    red.go.set()
    closer.join(10)
    assert closed == [True]
    assert [about().verdict(future.result(0)) for future in futures] == ["defective"] * 6
    assert threading.active_count() == before


def test_closing_gives_up_after_its_time(make, red):
    inspector = make()
    red.go.clear()
    inspector.submit([Upload("a", pixels(0))])
    assert not inspector.close(0.1)


def test_what_is_loaded_is_told(make_weights):
    folder = make_weights(min_area=7)
    config = ServeConfig(weights_dir=folder, backend="torch", precision="f32", device="cpu", threshold=0.25)
    with Inspector.open(config) as inspector:
        known = inspector.about
    file = next(folder.iterdir())
    assert (known.name, known.file, known.kind) == ("unet-test_resnet-test", file.name, "network")
    assert (known.class_names, known.decision) == (("pits", "cracks"), Decision.uniform(2, 0.25, 7))
    assert (known.first_class, known.card) == (1, None)
    assert known.backend == "torch f32 on cpu"


def test_weights_that_were_chosen_are_used_though_their_file_is_another_one_by_now(make_weights):
    folder = make_weights(min_area=7)
    config = ServeConfig(weights_dir=folder, backend="torch", precision="f32", device="cpu")
    chosen = choose_weights(as_prediction(config))
    chosen.path.write_bytes(b"half of other weights")
    with Inspector.open(config, chosen=chosen) as inspector:
        (answer,) = inspector.inspect([Upload("a", pixels(0))])
        assert (inspector.about.decision, inspector.path) == (chosen.decision, chosen.path)
    assert not isinstance(answer, Refused)


def test_card_and_scores_of_published_weights_are_found():
    published = Path(__file__).parents[2] / "weights"
    with Inspector.open(ServeConfig(weights_dir=published, backend="torch", precision="f32")) as inspector:
        known = inspector.about
    assert known.card is not None
    assert known.card.startswith(f"# {known.name}")
    assert "valid" in known.scores


def test_networks_put_together_answer_like_the_command_line_and_are_decided_anew(make_dataset, make_weights, tmp_path):
    root, out = make_dataset(), tmp_path / "out"
    together = Path(f"{make_weights(input_size=(32, 64))},{make_weights(class_names=('cracks', 'pits'))}")
    flags = {"weights_dir": together, "backend": "torch", "precision": "f32"}
    predict(PredictConfig(dir=root, out=out, **flags))
    with open(out / "submission.csv", newline="") as file:
        codes = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    paths = sorted((root / "train_images").iterdir())
    with Inspector.open(ServeConfig(**flags)) as inspector:
        answers = inspector.inspect([Upload(path.name, path.read_bytes()) for path in paths], keep_logits=True)
        known = inspector.about
    assert (known.kind, known.name, known.gate) == ("system", "ensemble-test_resnet+test_resnet", None)
    assert (known.class_names, known.label_names) == (("pits", "cracks"), ())
    assert known.backend.startswith("ensemble of 2, torch f32")
    for answer in answers:
        for class_id, mask in enumerate(answer.masks, start=1):
            assert (encode(mask) if mask.any() else "") == codes[f"{answer.name}_{class_id}"]
        again = redecide(answer, known.decision, task=known.task, gate=known.gate)
        np.testing.assert_array_equal(again.masks, answer.masks)
