"""From clean images to alarms: the weights file of task anomaly goes through every command, bad input ends in one line."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from config import EvaluateConfig, ExportConfig, PredictConfig, PublishWeightsConfig, ServeConfig, TrainConfig
from utils.commands.evaluate import evaluate
from utils.commands.export_model import export_model
from utils.commands.predict import predict
from utils.commands.publish_weights import publish_weights
from utils.commands.train import train
from utils.data.dataset_folder import open_dataset
from utils.data.rle import encode
from utils.data.splits import read_split, write_split
from utils.errors import InputError
from utils.inference.opening import open_network
from utils.inspection.inspector import Inspector
from utils.inspection.upload import Upload
from utils.settings import note_given
from utils.training.alarm_level import alarm_level
from utils.web.answers import image_answer
from utils.weights.finding import find
from utils.weights.weights_file import load

SIDE, CLEAN, DEFECTIVE = 64, 24, 4


def texture(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(120, 6, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)


def scratched(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:44, 20:44] = 1
    image = texture(rng)
    image[mask > 0] = 250 * (rng.random((SIDE, SIDE))[mask > 0] > 0.5)
    return image, mask


@pytest.fixture(scope="module")
def steel(tmp_path_factory) -> Path:
    """A dataset folder: clean textures, and some with a labelled square of noise."""
    root, rng, rows = tmp_path_factory.mktemp("steel"), np.random.default_rng(0), []
    (root / "train_images").mkdir()
    for number in range(CLEAN):
        cv2.imwrite(str(root / "train_images" / f"clean{number:02d}.png"), texture(rng))
    for number in range(DEFECTIVE):
        image, mask = scratched(rng)
        cv2.imwrite(str(root / "train_images" / f"bad{number}.png"), image)
        rows.append((f"bad{number}.png", 1, encode(mask)))
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(root / "train.csv", index=False)
    return root


def anomaly(folder: Path, out: Path, **changes) -> TrainConfig:
    given = {
        "dir": folder,
        "out": out,
        "task": "anomaly",
        "encoder": "test_resnet",
        "encoder_weights": "none",
        "memory": 50,
        "false_alarms": 0.1,
        "num_of_workers": 1,
        "device": "cpu",
        **changes,
    }
    return note_given(TrainConfig(**given), given)


@pytest.fixture(scope="module")
def result(steel, tmp_path_factory):
    return train(anomaly(steel, tmp_path_factory.mktemp("runs") / "day1"))


def test_clean_steel_is_remembered_and_labelled_defects_are_left_out(result):
    told = result.metrics
    assert told["clean_images"] + told["held_out_images"] == told["scored_images"] == CLEAN
    assert told["labelled"] == {"images": DEFECTIVE, "found": DEFECTIVE}
    assert told["alarms"] <= 6
    assert set(told["drawn"]) == {"pits", "cracks", "scratches", "patches"}
    low, high = told["expected_false_alarms"]
    assert 0 < low < 0.1 < high <= 1
    assert f"expect alarms on {low:.2%} to {high:.2%}" in result.text()
    assert "clean images that are no copies" in result.text()
    frame = read_split(result.folder / "split.csv")
    assert set(frame.loc[frame["image"].str.startswith("bad"), "side"]) == {"valid"}
    assert (frame["side"] == "train").sum() == told["clean_images"]
    file = load(result.weights)
    assert (file.spec.architecture, file.spec.task, file.spec.memory) == ("patchcore", "anomaly", 50)
    assert json.loads((result.folder / "metrics.json").read_text()) == told
    assert file.metrics["drawn"] == told["drawn"]


def test_the_same_seed_gives_the_same_weights(steel, result, tmp_path):
    again = train(anomaly(steel, tmp_path / "again"))
    one, other = (load(weights).state_dict for weights in (result.weights, again.weights))
    assert all(np.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_predict_writes_masks_of_one_class_a_heat_map_and_the_table(steel, result, tmp_path):
    config = PredictConfig(
        dir=steel,
        weights_dir=result.folder,
        out=tmp_path / "out",
        save=("overlays", "masks", "defects", "heatmaps"),
        backend="torch",
        precision="f32",
        device="cpu",
    )
    assert predict(config).images == CLEAN + DEFECTIVE
    with open(tmp_path / "out" / "defects.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {"anomaly"}
    assert {f"bad{number}.png" for number in range(DEFECTIVE)} <= {row["image"] for row in rows}
    mask = cv2.imread(str(tmp_path / "out" / "masks" / "bad0.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) <= {0, 1}
    assert mask[28:36, 28:36].all()
    heat = cv2.imread(str(tmp_path / "out" / "heatmaps" / "bad0.png"))
    assert heat.shape == (SIDE, SIDE, 3)
    clean = cv2.imread(str(tmp_path / "out" / "heatmaps" / "clean00.png"))
    assert heat[32, 32, 2] > clean[32, 32, 2] + 50  # red where it is hot


def test_evaluate_scores_the_images_that_the_memory_does_not_know(steel, result, tmp_path):
    config = EvaluateConfig(
        dir=steel, weights_dir=result.folder, out=tmp_path, backend="torch", device="cpu", resamples=0
    )
    found = evaluate(config)
    assert found.images == DEFECTIVE + result.metrics["held_out_images"]
    assert found.evaluation.presence.curves["hasDefect_1"].roc_auc == 1
    assert found.evaluation.class_names == ("anomaly",)


def test_export_gives_the_same_answer(result, tmp_path):
    pytest.importorskip("onnxruntime")
    exported = export_model(ExportConfig(weights_dir=result.folder, out=tmp_path, num_of_images=2))
    assert exported.files[0].suffix == ".onnx"
    assert exported.parity.difference < 1e-2


def test_its_encoder_starts_the_next_memory(steel, result, tmp_path):
    given = {"dir": steel, "out": tmp_path / "next", "task": "anomaly", "weights_dir": result.folder, "memory": 1}
    found = train(note_given(TrainConfig(**given, num_of_workers=1, device="cpu"), given))
    one, other = load(result.weights), load(found.weights)
    assert other.spec.encoder == "test_resnet"
    assert other.spec.memory == 1
    assert all(other.state_dict[name].equal(t) for name, t in one.state_dict.items() if name.startswith("encoder."))


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_images_are_one_line(tmp_path, count):
    for number in range(count):
        cv2.imwrite(str(tmp_path / f"{number}.png"), texture(np.random.default_rng(number)))
    with pytest.raises(InputError, match=f"{count} clean image.*needs 10 or more"):
        train(anomaly(tmp_path, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_copies_of_one_image_are_told(tmp_path):
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), texture(np.random.default_rng(0)))
    found = train(anomaly(tmp_path, tmp_path / "run"))
    assert any("near-duplicates in 2 groups" in note for note in found.notes)


def test_images_of_different_sizes_are_told(tmp_path):
    rng = np.random.default_rng(5)
    for number in range(12):
        image = rng.normal(120, 6, (48 + 16 * (number % 2), 64)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    found = train(anomaly(tmp_path, tmp_path / "run"))
    assert any("have 2 sizes" in note for note in found.notes)
    assert load(find(tmp_path / "run")).input_size is None


@pytest.mark.parametrize("valid", [(), (0, 5)], ids=["no side valid", "side valid"])
def test_groups_of_a_split_stay_together_and_its_side_valid_is_held_out(steel, tmp_path, valid):
    names = sorted(path.name for path in (steel / "train_images").glob("clean*.png"))[:20]
    groups = [number // 3 for number in range(20)]  # seven coils
    sides = ["valid" if group in valid else "train" for group in groups]
    write_split(pd.DataFrame({"image": names, "side": sides, "group": groups}), tmp_path / "s.csv")
    found = train(anomaly(steel, tmp_path / "run", split=tmp_path / "s.csv", memory=1))
    frame = read_split(tmp_path / "run" / "split.csv").set_index("image")
    assert sorted(frame.index) == names
    held_out = {group for name, group in zip(names, groups, strict=True) if frame.loc[name, "side"] == "valid"}
    assert held_out == set(valid) if valid else 1 <= len(held_out) <= 2
    assert found.metrics["held_out_images"] == sum(group in held_out for group in groups)
    assert found.metrics["scored_images"] == 20
    assert "groups of clean images" in found.text()
    assert "near-duplicates" not in found.text()
    assert found.metrics["labelled"] == {}


@pytest.mark.parametrize("sides", [("train", "train"), ("valid", "valid"), ("train", "valid")])
def test_a_split_needs_two_groups(steel, tmp_path, sides):
    names = sorted(path.name for path in (steel / "train_images").glob("clean*.png"))
    groups = [0] * 24 if sides[0] == sides[1] == "train" else [number % 2 for number in range(24)]
    frame = pd.DataFrame({"image": names, "side": [sides[group] for group in groups], "group": groups})
    write_split(frame, tmp_path / "s.csv")
    if sides == ("train", "valid"):
        assert (
            train(anomaly(steel, tmp_path / "run", split=tmp_path / "s.csv", memory=1)).metrics["scored_images"] == 24
        )
    else:
        with pytest.raises(InputError, match="name two or more"):
            train(anomaly(steel, tmp_path / "run", split=tmp_path / "s.csv", memory=1))


def test_specks_are_no_alarm_whatever_the_size_of_the_images(steel, result, tmp_path):
    assert load(result.weights).decision.min_areas == (64,)
    halved = train(anomaly(steel, tmp_path / "run", image_size=(32, 32), memory=1))
    assert load(halved.weights).decision.min_areas == (256,)


def test_the_weights_file_gives_the_alarms_that_the_training_says(steel, result):
    file, dataset = load(result.weights), open_dataset(steel)
    network = open_network(file, "torch", "cpu", "f32", 1)
    frame = read_split(result.folder / "split.csv")
    held_out = [name for name in frame.loc[frame["side"] == "valid", "image"] if name.startswith("clean")]
    names = [*held_out, *(f"bad{number}.png" for number in range(DEFECTIVE))]
    logits = [network(dataset.read(name)[None]).masks[0].numpy() for name in names]
    said = [bool(len(file.decision.apply_and_find(one, "anomaly")[1])) for one in logits]
    distances = [one[0] * float(file.state_dict["spread"]) + float(file.state_dict["centre"]) for one in logits]
    assert said == [alarm_level(one) > float(file.state_dict["centre"]) for one in distances]
    assert sum(said) == DEFECTIVE + sum(said[: len(held_out)])


def test_a_run_is_not_resumed(result):
    given = {"resume": result.folder}
    with pytest.raises(InputError, match="is not resumed"):
        train(note_given(TrainConfig(**given), given))


def test_a_system_gives_no_encoder(steel, tmp_path):
    (tmp_path / "two.system.json").write_text("{}")
    given = {"dir": steel, "out": tmp_path / "run", "task": "anomaly", "weights_dir": tmp_path / "two.system.json"}
    with pytest.raises(InputError, match="is a system of several networks"):
        train(note_given(TrainConfig(**given), given))


def test_the_server_gives_an_alarm_and_a_heat_map(steel, result):
    with Inspector.open(ServeConfig(weights_dir=result.folder, backend="torch", precision="f32", device="cpu")) as one:
        uploads = [Upload(name, (steel / "train_images" / name).read_bytes()) for name in ("bad0.png", "clean00.png")]
        answers = [image_answer(one.about, future.result(60), "heatmap") for future in one.submit(uploads)]
    assert answers[0]["verdict"] == "defective"
    assert answers[0]["defects"][0]["name"] == "anomaly"
    assert all(answer["overlay"] for answer in answers)


def test_published_with_its_false_alarms_on_the_card(steel, result, tmp_path):
    told = publish_weights(
        PublishWeightsConfig(run=result.folder, name="day1", data="drawn", to=tmp_path, device="cpu")
    )
    card = (tmp_path / "day1.md").read_text(encoding="utf-8")
    assert told.entry.task == "anomaly"
    assert "task `anomaly`" in card
    assert "alarms on 10.00% of clean images" in card
    assert "AUROC" in card
