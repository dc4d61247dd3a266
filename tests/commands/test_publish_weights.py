"""Publish_weights.py on a small run: what it measures, writes, lists and pushes, and that others can use it."""

import csv
import dataclasses
import json
import re
import shutil
import types
from pathlib import Path
from unittest import mock

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import torch
import yaml

import Publish_weights
from config import (
    DownloadWeightsConfig,
    EvaluateConfig,
    PackConfig,
    PredictConfig,
    PublishWeightsConfig,
    SynthesiseConfig,
    TrainConfig,
)
from utils.commands import evaluate as evaluating
from utils.commands import publish_weights as publishing
from utils.commands.download_weights import download_weights
from utils.commands.evaluate import evaluate
from utils.commands.predict import predict
from utils.commands.publish_weights import MARKS, largest_change, publish_weights
from utils.data.dataset_folder import open_dataset
from utils.data.packing import pack
from utils.data.splits import read_split, write_split
from utils.data.synthetic import synthesise
from utils.decision.decision import ClassDecision, Decision
from utils.errors import InputError
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.scoring.counts import Counts
from utils.scoring.scores import scores
from utils.settings import to_plain
from utils.training.image_hashes import hash_images
from utils.training.initial_weights import initial_network
from utils.training.result import TEST_DATA
from utils.weights.index import read_index
from utils.weights.lineage import Training
from utils.weights.sample import TOLERANCE, Sample
from utils.weights.storage import halved
from utils.weights.weights_file import WeightsFile, load

HEAD = ("epoch", "train_loss", "train_seconds", "valid_loss", "valid_dice", "valid_defect_dice", "valid_seconds")


MEASURED = {"epoch": 21, "mean_dice": 0.1, "calibration": {"split": "valid"}}


@pytest.fixture(scope="module", autouse=True)
def _no_pictures():
    """Leave the report out, whose pictures take longer than everything else and are tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluating, "_write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder as Train.py leaves it, of a random network, beside its data in ``strips``."""
    root = tmp_path_factory.mktemp("publish")
    strips = SynthesiseConfig(dir=root / "strips", num_of_images=6, image_size=(64, 96), contrast=2)
    synthesise(strips)
    synthesise(dataclasses.replace(strips, split="test"))
    names = tuple((root / "strips/classes.txt").read_text().split())
    # Small; timm's, which SMP calls tu-...
    spec = ModelSpec("unet", "mobilenetv3_small_100", "multilabel", names, decoder_channels=(64, 32, 32, 16, 16))
    torch.manual_seed(2)
    model = build(spec)
    torch.nn.init.normal_(model.net.segmentation_head[0].weight, std=0.5)
    config = TrainConfig(
        dir=root / "strips", encoder="mobilenetv3_small_100", encoder_weights="/home/me/start.pth", num_epochs=25
    )
    provenance = {
        "config": to_plain(dataclasses.replace(config, dir=None)),
        "git_commit": "abc",
        "versions": {"a": "1"},
        "encoder_file": {"file": "start.pth", "sha256": "0123abcd"},
    }
    weights = WeightsFile(
        spec,
        model.net.state_dict(),
        model.mean,
        model.std,
        None,
        Decision.uniform(len(spec.scored_names), 0.6, 7),
        MEASURED,
        provenance,
    )
    folder = root / "run"
    images = sorted(path.name for path in (root / "strips/train_images").iterdir())
    weights.image_hashes = hash_images(open_dataset(root / "strips"), images[3:], images[:3], 1, progress=False)
    weights.save_named(folder, "unet-small-strips")
    (folder / "config.yaml").write_text(yaml.safe_dump(to_plain(config)))
    rows = [f"{name},{'valid' if number < 3 else 'train'},{number}" for number, name in enumerate(images)]
    (folder / "split.csv").write_text("\n".join(["image,side,group", *rows]) + "\n")
    with open(folder / "history.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        writer.writerows((epoch, 1 / epoch, 60, 2 / epoch, 0.5, 0.25, 12) for epoch in range(1, 26))
    return folder


def settings(run: Path, to: Path, **more) -> PublishWeightsConfig:
    # A random network is no better than an empty prediction.
    common = {"run": run, "to": to, "name": "unet-small-strips", "data": "6 drawn strips", "force": True}
    return PublishWeightsConfig(**{**common, **more})


@pytest.fixture(scope="module")
def published(run, tmp_path_factory) -> Path:
    """A folder with an index, a page and the published run."""
    to = tmp_path_factory.mktemp("published")
    (to / "README.md").write_text(f"# weights\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nend\n")
    words = ["-name", "unet-small-strips", "-data", "6 drawn strips", "-terms", "free for all.", "-limits", "Toys."]
    words += [
        "-storage",
        "half",
        "-to",
        to,
        "-test_dir",
        run.parent / "strips",
        "-test_data",
        "all six",
        "-threads",
        1,
        "-urls",
        "https://example.org/w/",
        "-force",
    ]
    assert Publish_weights.main([str(word) for word in (run, *words)]) == 0
    return to


def test_the_index_says_what_the_functions_measure(run, published, tmp_path):
    index = read_index(published / "index.json")
    entry = index.pick(index.default)
    assert (entry.name, entry.architecture, entry.encoder) == ("unet-small-strips", "unet", "mobilenetv3_small_100")
    assert entry.urls == (entry.file, f"https://example.org/w/{entry.file}")
    test = EvaluateConfig(dir=run.parent / "strips", weights_dir=run, split="test", out=tmp_path / "test")
    valid = dataclasses.replace(test, split="valid", out=tmp_path / "valid")
    for side, config in (("test", test), ("valid", valid)):
        expected = evaluate(config).scores
        assert entry.scores[side]["images"] == expected.images
        for key in ("mean_dice", "empty_baseline", "defect_dice", "iou"):
            assert entry.scores[side][key] == pytest.approx(getattr(expected, key), abs=2e-3)
        assert set(entry.scores[side]["classes"]) == set(expected.classes)
    assert entry.speed["images_per_second"] > 0
    assert "torch f32" in entry.speed["network"]
    assert entry.training == {"command": entry.training["command"], "epochs": 25, "seconds": 25 * 72}
    assert entry.training["command"] == (
        "python Train.py -dir DATA -recipe balanced-1000 -encoder mobilenetv3_small_100 -encoder_weights start.pth -num_epochs 25"
    )


def test_the_file_tells_where_it_comes_from_and_nothing_about_the_disk(run, published):
    entry = read_index(published / "index.json").entries[0]
    weights = load(published / entry.file)
    assert weights.metrics["mean_dice"] == entry.scores["valid"]["mean_dice"]
    assert weights.metrics["test"]["mean_dice"] == entry.scores["test"]["mean_dice"]
    assert (weights.metrics["epoch"], weights.metrics["calibration"]) == (21, {"split": "valid"})
    assert weights.provenance["config"]["encoder_weights"] == "start.pth"
    assert weights.decision.per_class[0] == ClassDecision(0.6, 7)
    assert (weights.provenance["epochs"], weights.provenance["seconds"]) == (25, 25 * 72)
    for path in published.iterdir():
        assert str(run.parent).encode() not in path.read_bytes(), path
        assert b"/home/me" not in path.read_bytes(), path


def test_a_training_that_goes_on_from_it_knows_what_it_cost(published):
    """The card of what comes of it can then say how long all runs took, though this one's folder is not there."""
    path = published / read_index(published / "index.json").entries[0].file
    config = TrainConfig(encoder="mobilenetv3_small_100", encoder_weights=str(path))
    origin = initial_network(config, load(path).spec, checkpoint=None).origin
    assert origin is not None
    assert Training.of(published, {"config": {}, "started_from": origin}).before == (25, 25 * 72)


def test_the_card_has_everything_and_its_lines_of_python_run(published, monkeypatch):
    entry = read_index(published / "index.json").entries[0]
    text = (published / "unet-small-strips.md").read_text(encoding="utf-8")
    for words in (
        entry.sha256,
        "empty baseline",
        "6 images, all six; used for nothing else",
        "3 images, validation split of the training data",
        "| 0.6 | 7 | - |",
        entry.training["command"],
        "The encoder began with the weights of `start.pth`, sha256 `0123abcd`.",
        "25 epochs in 30 minutes",
        "| 25 | 0.0400 | 0.0800 | 0.5000 | 0.2500 |",
        "6 drawn strips",
        "Its terms: free for all. Read",
        "Toys.",
        "`abc`",
        "The weights are those of epoch 21.",
        "among the 3 training images",
        "The file has hashes of 3 training images, 48 bytes each",
        "Chosen on the validation images (`Evaluate.py -calibrate`)",
        "python Download_weights.py unet-small-strips",
    ):
        assert words in text
    for number, name in enumerate(entry.classes):
        assert re.search(rf"^\| {re.escape(name)} \| ", text, re.MULTILINE), number
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    monkeypatch.chdir(published)
    shown: dict = {}
    exec(code, shown)
    sample = Sample.load((published / entry.file).with_suffix(".npz"))
    with torch.no_grad():
        logits = shown["net"].eval()((torch.from_numpy(sample.images) / 255 - shown["mean"]) / shown["std"])
    torch.testing.assert_close(logits, torch.from_numpy(sample.answers[0]), atol=TOLERANCE, rtol=0)


def test_what_is_published_while_another_run_is_measured_stays_listed(run, published, tmp_path, monkeypatch):
    shutil.copytree(published, tmp_path / "to")
    make_sample = publishing.Sample.of

    def sample_while_another_run_ends(*words):
        index = read_index(tmp_path / "to/index.json")
        there = index.pick("unet-small-strips")
        other = dataclasses.replace(there, name="other", file=f"other-{there.sha256[:8]}.pth")
        index.with_entry(other).save(tmp_path / "to/index.json")
        return make_sample(*words)

    monkeypatch.setattr(publishing.Sample, "of", sample_while_another_run_ends)
    publish_weights(settings(run, tmp_path / "to", name="third"))
    assert {entry.name for entry in read_index(tmp_path / "to/index.json").entries} == {
        "unet-small-strips",
        "other",
        "third",
    }


def test_a_system_is_told_from_a_file_that_runs_code(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "gated")
    for path in folder.glob("*.pth"):
        path.rename(folder / "gated.system.json")
    with pytest.raises(InputError, match="gated: holds several networks, and one network is published at a time"):
        publish_weights(settings(folder, tmp_path / "to"))


def test_the_page_has_the_table_and_keeps_its_words(published):
    page = (published / "README.md").read_text()
    assert page.startswith(f"# weights\n\n{MARKS[0]}\n\n| name |")
    assert page.endswith(f"{MARKS[1]}\n\nend\n")
    assert "old" not in page
    assert "[unet-small-strips](unet-small-strips.md)" in page
    # Speeds are of the machine that each file was measured on, so each has it beside it.
    speed = read_index(published / "index.json").pick("unet-small-strips").speed
    assert f"| {speed['images_per_second']:.1f} | torch f32 on cpu, {speed['hardware']} |" in page


def test_others_fetch_it_and_predict_with_it_by_default(run, published, tmp_path):
    to = tmp_path / "weights"
    download_weights(DownloadWeightsConfig(index=str(published), to=to))
    shutil.copy(published / "index.json", to)
    (to / "other.pth").write_bytes(b"something else beside it")
    images = run.parent / "strips/train_images"
    for name in (None, "unet-small-strips"):
        result = predict(
            PredictConfig(images=images, weights_dir=to, weights=name, out=tmp_path / "out", save=("defects",))
        )
        assert not result.skipped


def test_publishing_again_changes_nothing_and_another_file_needs_replace(run, published, tmp_path):
    to = tmp_path / "to"
    shutil.copytree(published, to)
    before = read_index(to / "index.json").entries[0]
    same = settings(run, to, test_dir=run.parent / "strips", test_data="all six", storage="half")
    assert publish_weights(same).entry.sha256 == before.sha256
    other = dataclasses.replace(same, storage="float")
    files = sorted(path.name for path in to.iterdir())
    with pytest.raises(InputError, match=rf"-name unet-small-strips: {before.file} is published already; add -replace"):
        publish_weights(other)
    assert sorted(path.name for path in to.iterdir()) == files
    result = publish_weights(dataclasses.replace(other, replace=True))
    assert result.entry.storage == "float"
    assert result.entry.size > 1.9 * before.size
    assert [path.name for path in to.glob("*.pth")] == [result.entry.file]
    assert [path.name for path in to.glob("*.npz")] == [Path(result.entry.file).with_suffix(".npz").name]


@pytest.mark.parametrize("found", [(0, 0), (9, 0), (9, 9)])
def test_what_finds_nothing_better_than_nothing_is_not_published(run, tmp_path, monkeypatch, found):
    """The scores of the validation split come first, then those of the test images."""

    def scored(config):
        number = found[config.split == "test"]
        counts = Counts()
        counts.add(["a", "b"], *(torch.tensor([[n], [0]]) for n in (number, 0, 9 - number, 91)))
        one = types.SimpleNamespace(
            scores=scores(counts, ["pits"]),
            evaluation=types.SimpleNamespace(class_names=("pits",)),
            skipped=(),
            images_per_second=1.0,
            network="torch",
            about_copies="",
        )
        return mock.MagicMock(spec=publishing.EvaluateResult, **vars(one))

    monkeypatch.setattr(publishing, "evaluate", scored)
    config = settings(run, tmp_path / "to", force=False, storage="half", test_dir=run.parent / "strips")
    if all(found):
        assert publish_weights(config).entry.scores["test"]["mean_dice"] == 1
        return
    side = "test" if found[0] else "valid"
    with pytest.raises(InputError, match=rf"finds nothing better than nothing on the {side} images .*0.5000.* -force"):
        publish_weights(config)
    assert not (tmp_path / "to").exists()


def test_images_of_the_run_are_no_test_images(run, tmp_path):
    root = tmp_path / "strips"
    shutil.copytree(run.parent / "strips", root)
    name = min(path.name for path in (root / "train_images").iterdir())
    shutil.copy(root / "train_images" / name, root / "test_images" / name)
    with pytest.raises(InputError, match=rf"-test_dir .*: 1 of its 7 images are images of the run too, {name} for one"):
        publish_weights(settings(run, tmp_path / "to", test_dir=root))
    (root / "test_labels.csv").unlink()  # then its training images are meant
    with pytest.raises(InputError, match=r"6 of its 6 images are images of the run too"):
        publish_weights(settings(run, tmp_path / "to", test_dir=root))
    pack(PackConfig(dir=root, out=tmp_path / "packed"), progress=False)
    for folder, test in ((tmp_path / "packed", root), (root, tmp_path / "packed")):
        with pytest.raises(InputError, match=r"6 of its 6 images are images of the run too"):
            publish_weights(settings(run, tmp_path / "to", dir=folder, test_dir=test))
    assert not (tmp_path / "to").exists()


def test_images_of_the_runs_test_side_are_test_images(run, tmp_path):
    root = tmp_path / "strips"
    shutil.copytree(run.parent / "strips", root)
    dataset, frame = open_dataset(root), read_split(run / "split.csv")
    shutil.copy(dataset.path(dataset.images[4]), root / "test_images")
    with pytest.raises(InputError, match=f"1 of its 7 images are images of the run too, {dataset.images[4]} for one"):
        publishing._check_unseen(root, dataset, frame)
    frame.loc[frame["image"] == dataset.images[4], "side"] = "test"
    publishing._check_unseen(root, dataset, frame)


@pytest.mark.parametrize("test_dir", [False, True])
def test_the_runs_own_test_side_is_measured_where_no_other_test_images_are_named(run, tmp_path, test_dir):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    frame = read_split(copy / "split.csv")
    frame.loc[frame.index[-2:], "side"] = "test"
    write_split(frame, copy / "split.csv")
    more = {"test_dir": run.parent / "strips", "test_data": "all six; used for nothing else"} if test_dir else {}
    result = publish_weights(settings(copy, tmp_path / "to", storage="half", **more))
    images, data = (6, "all six; used for nothing else") if test_dir else (2, TEST_DATA)
    for found in (
        read_index(tmp_path / "to" / "index.json").entries[0].scores["test"],
        load(tmp_path / "to" / result.entry.file).metrics["test"],
    ):
        assert (found["images"], found["data"]) == (images, data)
    assert f"{images} images, {data}:" in (tmp_path / "to" / "unet-small-strips.md").read_text()
    assert f"test: {images} images, mean Dice" in result.text()
    if not test_dir:
        config = EvaluateConfig(dir=run.parent / "strips", weights_dir=copy, split="test-side", out=tmp_path / "out")
        assert found["mean_dice"] == pytest.approx(evaluate(config).scores.mean_dice, abs=2e-3)


# 16 bits


def test_vectors_and_what_would_be_infinite_keep_32_bits():
    state = {
        "conv": torch.full((2, 2), 0.1),
        "huge": torch.full((2, 2), 1e6),
        "variance": torch.full((2,), 1e6),
        "count": torch.tensor(3),
    }
    kinds = {name: tensor.dtype for name, tensor in halved(state).items()}
    assert kinds == {
        "conv": torch.float16,
        "huge": torch.float32,
        "variance": torch.float32,
        "count": torch.int64,
    }


@pytest.mark.parametrize(("limit", "storage"), [(-1.0, "float"), (1.0, "half")])
def test_16_bits_are_taken_only_when_the_scores_stay(run, tmp_path, monkeypatch, limit, storage):
    monkeypatch.setattr(publishing, "MOST_CHANGE", limit)
    result = publish_weights(settings(run, tmp_path))
    assert (result.entry.storage, result.change is not None) == (storage, True)
    stored = torch.load(tmp_path / result.entry.file, weights_only=True)["state_dict"][
        "segmentation_head.0.weight"
    ].dtype
    assert stored == {"half": torch.float16, "float": torch.float32}[storage]
    assert "so 32 bits are stored" in result.text() or storage == "half"


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"a": 0.5, "b": 0.25, "images": 3}, {"a": 0.5, "b": 0.2501, "images": 3}, 0.0001),
        ({"a": None}, {"a": None}, 0.0),
        ({"a": 0.5}, {"a": None}, float("inf")),
    ],
)
def test_largest_change_of_a_score(before, after, change):
    assert largest_change(before, after) == pytest.approx(change)


# The hub


class Client:
    """Stands in for the hub's client; keeps what was sent."""

    def __init__(self) -> None:
        self.repositories: list[str] = []

    sent: dict[str, bytes]

    def whoami(self) -> dict:
        return {"name": "me"}

    def create_repo(self, repository: str, exist_ok: bool) -> None:
        self.repositories.append(repository)

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> None:
        assert [repo_id] == self.repositories
        Client.sent = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


def test_push_sends_what_smp_opens_and_an_index(run, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing.hub, "HfApi", Client)
    result = publish_weights(settings(run, tmp_path / "to", push="me/steel", storage="half"))
    entry = result.entry
    assert entry.urls == (entry.file, f"hf://me/steel/{entry.file}")
    assert "https://huggingface.co/me/steel" in result.text()
    assert {"config.json", "model.safetensors", "README.md", "index.json", entry.file} <= set(Client.sent)
    folder = tmp_path / "hub"
    folder.mkdir()
    for name, content in Client.sent.items():
        (folder / name).write_bytes(content)
    assert (folder / "README.md").read_text().startswith("---\nlibrary_name: segmentation-models-pytorch\n")
    assert json.loads((folder / "index.json").read_text())["weights"][0]["urls"] == [entry.file]
    weights = load(tmp_path / "to" / entry.file)
    net = smp.from_pretrained(str(folder)).eval()
    images = torch.from_numpy(Sample.load((folder / entry.file).with_suffix(".npz")).images)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (weights.mean, weights.std))
    with torch.no_grad():
        torch.testing.assert_close(net((images / 255 - mean) / std), weights.build()(images), atol=TOLERANCE, rtol=0)


def refusing(error: Exception) -> type:
    class Refuses(Client):
        def whoami(self) -> dict:
            raise error

    return Refuses


class Answer:
    status_code = 403
    request = None


def http_error() -> Exception:
    error = huggingface_hub.errors.HfHubHTTPError.__new__(huggingface_hub.errors.HfHubHTTPError)
    error.response = Answer()
    return error


@pytest.mark.parametrize(
    ("repository", "error", "message"),
    [
        ("me/steel", huggingface_hub.errors.LocalTokenNotFoundError(), "nobody is logged in; run 'hf auth login'"),
        ("me/steel", http_error(), r"the hub refuses \(403\); run 'hf auth login' with a token that may write there"),
        ("me/steel", TimeoutError(), r"the hub cannot be reached \(TimeoutError\); check the network connection"),
        ("steel", RuntimeError(), "expected USER/NAME"),
    ],
)
def test_a_push_that_cannot_work_is_refused_before_anything_is_written(
    run, tmp_path, monkeypatch, repository, error, message
):
    monkeypatch.setattr(publishing.hub, "HfApi", refusing(error))
    with pytest.raises(InputError, match=f"^-push {repository}: {message}"):
        publish_weights(settings(run, tmp_path / "to", push=repository))
    assert not (tmp_path / "to").exists()


# Bad runs


def without_valid(csv_file: Path) -> None:
    csv_file.write_text(csv_file.read_text().replace(",valid,", ",train,"))


def classifier_instead(run: Path) -> None:
    path = next(run.glob("*.pth"))
    weights = load(path)
    spec = dataclasses.replace(weights.spec, architecture="classifier", task="classify-binary", decoder_channels=())
    none = {"decision": Decision((), ()), "label_thresholds": (0.5,)}
    path.unlink()
    dataclasses.replace(weights, spec=spec, **none).save_named(run, "classifier")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "split.csv").unlink(), "has no split.csv, so it is no run folder"),
        (lambda run: (run / "config.yaml").write_text("[]"), "config.yaml: damaged; name the dataset folder with -dir"),
        (lambda run: (run / "config.yaml").write_text("dir: nowhere"), "nowhere: no such folder"),
        (lambda run: next(run.glob("*.pth")).unlink(), "no .pth file in it"),
        (classifier_instead, r"classifies whole images \(classify-binary\); only networks that draw masks"),
        (lambda run: without_valid(run / "split.csv"), r"run/split\.csv: has no image on its valid side"),
        (
            lambda run: (run / "split.csv").write_text("image,side,group\n000.png,train,0\n"),
            r"run/split\.csv, row 2: 000\.png is not in the dataset",
        ),
        (
            lambda run: (run / "history.csv").write_text("epoch,train_loss\n1,x\n"),
            r"history\.csv: damaged; restore it, or",
        ),
        (lambda run: (run / "history.csv").write_text("epoch,train_seconds\n1,inf\n"), r"history\.csv: damaged"),
        (lambda run: (run / "history.csv").write_bytes(b"epoch,train_loss\n1,\xff\n"), r"history\.csv: damaged"),
    ],
)
def test_a_bad_run_is_one_line_and_nothing_is_written(run, tmp_path, spoil, message):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    spoil(copy)
    with pytest.raises(InputError, match=message) as error:
        publish_weights(settings(copy, tmp_path / "to"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "to").exists()


def test_a_run_without_a_history_has_a_card_without_curves(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "history.csv").unlink()
    entry = publish_weights(settings(copy, tmp_path / "to", storage="float", image_hashes=False)).entry
    assert entry.training["epochs"] == 0
    assert load(tmp_path / "to" / entry.file).image_hashes is None
    assert "On the validation split:" not in (tmp_path / "to/unet-small-strips.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"name": "README"}, r"-name README: the card would replace .*README\.md, which is none; choose another name"),
        ({"name": "readme"}, r"-name readme: the card would replace"),
        ({"name": "notes"}, r"-name notes: the card would replace .*notes\.md, which is none"),
        ({"name": "n" * 101}, r"-name n{40}\.\.\.: has 101 letters; use 100 at most$"),
        ({"name": "a/b"}, r"-name a/b: use letters, digits, "),
        ({"urls": ("../..",)}, r"-urls \.\./\.\.: is no address of a folder; write it as https://HOST/FOLDER"),
        ({"urls": ("/srv/weights",)}, r"-urls /srv/weights: is no address of a folder"),
        ({"urls": ("https://me:secret@host/x",)}, r"-urls https://host/x: leave out names, passwords"),
        ({"urls": ("https://host/x?token=secret",)}, r"-urls https://host/x: leave out names, passwords"),
    ],
)
def test_names_and_addresses_that_harm_are_refused_before_anything_is_written(run, tmp_path, flags, message):
    (tmp_path / "notes.md").write_text("mine")
    with pytest.raises(InputError, match=message) as error:
        publish_weights(settings(run, tmp_path, **flags))
    assert "secret" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]


@pytest.mark.parametrize("kind", ["system", "file", "list", "folds"])
def test_several_networks_are_refused_and_the_first_is_named(tmp_path, kind):
    run = tmp_path / "run"
    for name in ("first", "second"):
        (run / name).mkdir(parents=True)
        (run / name / "config.yaml").write_text("")
    (run / ("folds.csv" if kind == "folds" else "a.system.json")).write_text("")
    given = {"file": run / "a.system.json", "list": Path(f"{run / 'first'},{run / 'second'}")}.get(kind, run)
    with pytest.raises(InputError, match="one network is published at a time") as caught:
        publish_weights(PublishWeightsConfig(run=given, name="a", data="b", to=tmp_path / "to"))
    assert (str(run / "first") in str(caught.value)) or kind == "file"
    assert not (tmp_path / "to").exists()
