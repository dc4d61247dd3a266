"""Predictions in shards: the same results as of one folder, every image once, whatever is killed, refused or broken."""

import csv
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow
import pyarrow.parquet as parquet

import Predict_masks
from config import PredictConfig, Url
from utils.commands.predict import predict
from utils.commands.predict_shards import in_shards
from utils.data.parts import read_part, read_rows
from utils.data.rle import decode
from utils.data.stores import Store, StoreError
from utils.errors import InputError
from utils.shards.plan import make_plan
from utils.shards.worker import Worker, picture_of

# Of one image at a time: sums of floats depend on what shares a batch.
FLAGS = {"backend": "torch", "device": "cpu", "threads": 1, "batch_size": 1}


@pytest.fixture
def images(make_dataset) -> Path:
    folder = make_dataset(count=11) / "train_images"
    (folder / "line2").mkdir()
    (folder / "003.png").rename(folder / "line2/003.png")
    return folder


@pytest.fixture
def config(images, make_weights, tmp_path) -> PredictConfig:
    return PredictConfig(
        images=images, weights_dir=make_weights(), out=tmp_path / "out", engine="local", shard_size=3, **FLAGS
    )


def rows_of(out: Path | Url) -> dict[str, dict]:
    """Return the rows of all parts by image, each of which is checked and may be there once."""
    store = Store(out)
    for name in store.names():
        if name.startswith("part-"):
            read_part(store, name)
    rows = [row for part in read_rows(out, "-defects") for row in part.to_pylist()]
    found = {row["image"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def upload(folder: Path, url: str) -> None:
    for path in folder.rglob("*.png"):
        Store(Url(url)).replace(path.relative_to(folder).as_posix(), path.read_bytes())


def test_shards_have_the_defects_of_a_prediction_of_the_folder(config, tmp_path):
    result = predict(config)
    plain = predict(replace(config, engine=None, out=tmp_path / "plain", save=("defects", "submission")))
    rows = rows_of(config.out)
    with open(tmp_path / "plain/defects.csv", newline="") as file:
        wanted = sorted(
            (
                row["image"],
                int(row["class_id"]),
                row["name"],
                *(int(row[name]) for name in BOX),
                row["mean_probability"],
            )
            for row in csv.DictReader(file)
        )
    found = sorted(
        (image, one["class_id"], one["name"], *(one[name] for name in BOX), f"{one['mean_probability']:.4f}")
        for image, row in rows.items()
        for one in row["defects"]
    )
    assert found == wanted
    assert len(found) > 11, "the test needs a network that finds something"
    assert (result.images, result.skipped, result.done) == (11, 0, 4)
    assert {name: tuple(total) for name, total in result.found.items()} == {
        name: (total.images, total.defects, total.area_px) for name, total in plain.classes.items()
    }
    with open(tmp_path / "plain/submission.csv", newline="") as file:
        codes = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    for image, row in rows.items():
        for number in (1, 2):
            own = [one for one in row["defects"] if one["class_id"] == number]
            drawn = [decode(one["rle"], row["height"], row["width"]) for one in own]
            whole = sum(drawn, np.zeros((row["height"], row["width"]), int))
            np.testing.assert_array_equal(whole, decode(codes[f"{image}_{number}"], row["height"], row["width"]))
            assert [int(mask.sum()) for mask in drawn] == [one["area_px"] for one in own]
            totals = [one for one in row["classes"] if one["class_id"] == number]
            assert [(one["defects"], one["area_px"]) for one in totals] == (
                [(len(own), sum(one["area_px"] for one in own))] if own else []
            )
        assert row["verdict"] == ("defective" if row["defects"] else "clean")


BOX = ("area_px", "x", "y", "width", "height")


def test_a_rerun_predicts_what_is_missing_and_nothing_else(config, monkeypatch):
    predict(config)
    before = rows_of(config.out)
    ran = []
    run = Worker.run
    monkeypatch.setattr(Worker, "run", lambda self, shard: (ran.append(shard), run(self, shard)))
    assert predict(config).done == 0
    next(config.out.glob("part-00002-*")).unlink()
    result = predict(replace(config, batch_size=2))
    assert (ran, result.done, result.images) == ([2], 1, 11)
    assert rows_of(config.out).keys() == before.keys()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])
def test_what_ends_anywhere_loses_and_doubles_nothing(config, tmp_path, monkeypatch, seed):
    """Every call of a store may be the last one, before or after it has its effect."""
    predict(replace(config, out=tmp_path / "serial"))
    chance = random.Random(seed)
    left = [0]

    def ending(name: str) -> None:
        call = getattr(Store, name)

        def maybe(self, *words):
            left[0] -= 1
            if left[0] <= 0 and chance.random() < 0.5:
                raise KeyboardInterrupt
            done = call(self, *words)
            if left[0] <= 0:
                raise KeyboardInterrupt
            return done

        monkeypatch.setattr(Store, name, maybe)

    for name in ("create", "replace", "put", "read"):
        ending(name)
    ended = 0
    for _ in range(30):
        left[0] = chance.randint(3, 12)
        try:
            predict(config)
            break
        except KeyboardInterrupt:
            ended += 1
    else:
        pytest.fail("never done")
    monkeypatch.undo()
    assert ended
    predict(config)
    assert rows_of(config.out) == rows_of(tmp_path / "serial")
    assert not list(config.out.glob(".*")), "half-written files stayed"


@pytest.mark.parametrize("bad", [b"", b"no image", None])
def test_a_bad_image_is_a_row_with_its_reason(config, images, bad, capsys):
    if bad is None:
        (images / "002.png").unlink()
        (images / "002.png").symlink_to("nowhere")
    else:
        (images / "002.png").write_bytes(bad)
    words = ["-images", images, "-out", config.out, "-weights_dir", config.weights_dir, "-engine", "local"]
    words += ["-backend", "torch", "-shard_size", 4]
    assert Predict_masks.main([str(word) for word in words]) == 3
    row = rows_of(config.out)["002.png"]
    assert (row["status"], row["verdict"], row["defects"], row["height"]) == ("skipped", None, [], None)
    summary = json.loads((config.out / "summary.json").read_text())
    assert summary["skipped"] == [{"image": "002.png", "reason": row["reason"]}]
    assert (summary["images"], summary["skipped_images"]) == (11, 1)
    said = capsys.readouterr().out
    assert f"1 image skipped, named in {config.out}/summary.json and in the parts" in said
    assert f"results in {config.out}: 3 parts of the images listed on 20" in said


def test_a_manifest_carries_its_columns_into_the_parts(config, images, tmp_path):
    time = arrow.array([1_700_000_000_000 + number for number in range(3)], arrow.timestamp("ms"))
    names = ["000.png", "line2/003.png", "gone.png"]
    parquet.write_table(
        arrow.table({"coil": [4711, 4712, 4713], "image": names, "time": time}), images / "list.parquet"
    )
    result = predict(replace(config, images=images / "list.parquet", engine=None))
    rows = rows_of(config.out)
    assert {name: rows[name]["coil"] for name in names} == dict(zip(names, (4711, 4712, 4713), strict=True))
    assert (rows["gone.png"]["reason"], result.skipped) == ("no such image", 1)
    assert parquet.read_schema(next(config.out.glob("part-*"))).field("time").type == arrow.timestamp("ms")
    assert rows["000.png"]["time"].year == 2023
    (tmp_path / "elsewhere").mkdir()
    moved = [str(images / name) for name in names[:2]]
    table = arrow.table({"image": ["a", "b"], "url": [moved[0], f"file://{moved[1]}"]})
    parquet.write_table(table, tmp_path / "elsewhere/list.parquet")
    predict(replace(config, images=tmp_path / "elsewhere/list.parquet", out=tmp_path / "other"))
    other = rows_of(tmp_path / "other")
    assert [other[name]["defects"] for name in "ab"] == [rows[name]["defects"] for name in names[:2]]


def test_a_manifest_that_changed_is_refused(config, images):
    (images / "list.csv").write_text("image\n000.png\n")
    begun = replace(config, images=images / "list.csv")
    predict(begun)
    (images / "list.csv").write_text("image\n000.png\n001.png\n")
    with pytest.raises(InputError, match=r"is not the manifest that .* was begun with on 20.*; name another folder"):
        predict(begun)


def test_images_that_came_since_are_not_of_the_job(config, images):
    predict(config)
    shutil.copy(images / "000.png", images / "new.png")
    assert predict(config).images == 11
    assert "new.png" not in rows_of(config.out)


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_stores_give_the_rows_of_a_disk(config, images, tmp_path, request, store, monkeypatch):
    url = f"memory://{tmp_path.name}" if store == "memory" else request.getfixturevalue("bucket")
    (images / "bad.png").write_bytes(b"no image")
    predict(config)
    upload(images, f"{url}/2026")
    monkeypatch.setattr("utils.shards.fetching.PIECE", 2)
    result = predict(
        replace(config, images=Url(f"{url}/2026"), out=Url(f"{url}/2026/defects"), engine=None, save=("overlays",))
    )
    assert (result.images, result.skipped, result.done) == (12, 1, 4)
    assert rows_of(Url(f"{url}/2026/defects")) == rows_of(config.out)
    assert (
        predict(replace(config, images=Url(f"{url}/2026"), out=Url(f"{url}/2026/defects"), save=("overlays",))).done
        == 0
    )
    pictures = list(Store(Url(f"{url}/2026/defects/overlays")).walk())
    drawn = [name for name, row in rows_of(config.out).items() if row["verdict"] == "defective"]
    assert sorted(pictures) == sorted(f"{name}.png" for name in drawn)
    assert "line2/003.png" in drawn


def test_a_store_that_fails_commits_nothing_and_the_next_run_goes_on(config, images, tmp_path, monkeypatch):
    url = f"memory://{tmp_path.name}"
    upload(images, f"{url}/2026")
    stored = replace(config, images=Url(f"{url}/2026"))
    fetch = Store.fetch

    def failing(self, path, target):
        if path.endswith("004.png"):
            raise StoreError("no route")
        fetch(self, path, target)

    monkeypatch.setattr(Store, "fetch", failing)
    with pytest.raises(StoreError, match="no route"):
        predict(stored)
    assert len(list(config.out.glob("part-*"))) < 4
    monkeypatch.undo()
    assert predict(stored).images == 11
    assert all(row["status"] == "ok" for row in rows_of(config.out).values())


def test_no_permission_for_any_image_is_no_row_but_an_error(config, images, tmp_path, monkeypatch):
    url = f"memory://{tmp_path.name}"
    upload(images, f"{url}/2026")

    def refused(self, path, target):
        raise PermissionError("403")

    monkeypatch.setattr(Store, "fetch", refused)
    with pytest.raises(InputError, match=r"no permission to read any of .* images; check the credentials"):
        predict(replace(config, images=Url(f"{url}/2026")))
    assert not list(config.out.glob("part-*"))


def test_bits_are_measured_once_for_all_shards(config, images, tmp_path):
    """Each shard by itself would read dark images by fewer bits than bright ones."""
    for path in images.rglob("*.png"):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16)
        cv2.imwrite(str(path), grey * (16 if path.name == "000.png" else 3))
    predict(replace(config, shard_size=1, save=("overlays",)))
    job = json.loads((config.out / "job.json").read_text())
    assert (job["settings"]["bits"], job["settings"]["float_white"]) == (12, 1.0)
    plain = predict(replace(config, engine=None, out=tmp_path / "plain", save=("defects",)))
    found = [one for row in rows_of(config.out).values() for one in row["defects"]]
    assert (plain.bit_depth[:7], plain.defects) == ("12 bits", len(found))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"threshold": 0.7},
            r'made with thresholds \{"pits": 0.5.*this run has \{"pits": 0.7.*; take the same, or name',
        ),
        ({"min_area": 9}, r"made with min_areas .*, this run has"),
        ({"tta": "flips"}, 'made with tta "none", this run has "flips"'),
        ({"tile": (32, 32)}, r"made with tile null, this run has \[32, 32\]"),
        ({"precision": "bf16"}, 'made with precision "f32", this run has "bf16"'),
        ({"save": ("overlays",)}, "made with overlays false, this run has true"),
        ({"class_map": ("pits=holes",)}, r"made with classes \[.*, this run has \["),
        ({"bit_depth": "12"}, "made with bits 16, this run has 12"),
        ({"weights_dir": "other"}, "made with sha256 "),
        ({"images": "line2"}, "holds results of .*, not of .*line2; name another folder"),
    ],
)
def test_another_model_or_setting_is_refused(config, images, make_weights, changes, message):
    predict(config)
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*")}
    if "images" in changes:
        changes = {"images": images / "line2"}
    if "weights_dir" in changes:
        changes = {"weights_dir": make_weights(input_size=(32, 64))}
    with pytest.raises(InputError, match=message) as error:
        predict(replace(config, **changes))
    assert "\n" not in str(error.value)
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*")} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "-engine: give -images FOLDER, URL or MANIFEST, and not -dir"),
        ({"dir": Path("data")}, "-engine: give -images FOLDER, URL or MANIFEST, and not -dir"),
        ({"num_of_images": 3}, "-num_of_images: not with shards; name the images"),
        ({"save": ("masks", "overlays")}, "-save masks: not with shards, whose parts hold the defects"),
        ({"images": Url("memory://empty"), "out": None}, "-out: name a folder or URL for the results"),
        ({"images": Url("memory://empty")}, "-images memory://empty: no images to predict"),
        ({"images": Path("missing")}, "-images .*missing: no such file or folder"),
        ({"out": Url("nothing://a")}, "-out nothing://a: Protocol not known: nothing; name a folder or a URL"),
        ({"weights_dir": Path("missing")}, "-weights_dir .*missing: no such file or folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(config, changes, message):
    with pytest.raises(InputError, match=message) as error:
        predict(replace(config, **changes))
    assert "\n" not in str(error.value)
    assert not config.out.exists()


def test_parts_without_a_job_or_with_a_damaged_one_are_left_alone(config):
    predict(config)
    (config.out / "job.json").write_text("{")
    with pytest.raises(InputError, match=r"job\.json: not JSON .*; name another folder with -out"):
        predict(config)
    (config.out / "job.json").unlink()
    with pytest.raises(InputError, match=r"holds part-0000.* but no job\.json, so nothing tells what made it"):
        predict(config)


def test_parts_of_somebody_else_are_noticed_when_all_are_counted(config, tmp_path):
    predict(config)
    predict(replace(config, out=tmp_path / "other", threshold=0.7))
    name = next(config.out.glob("part-00001-*")).name
    shutil.copy(tmp_path / "other" / name, config.out / name)
    with pytest.raises(InputError, match=f"{name}: is of another job than job.json; remove it"):
        predict(config)


def test_parts_of_another_listing_are_noticed_when_all_are_counted(config, images, tmp_path):
    predict(config)
    (images / "000.png").rename(images / "renamed.png")
    predict(replace(config, out=tmp_path / "other"))
    for path in (tmp_path / "other").glob("part-*"):
        shutil.copy(path, config.out / path.name)
    with pytest.raises(InputError, match=r"part-.*: is of another job than job\.json; remove it"):
        predict(config)


def test_of_two_runs_that_begin_at_once_both_take_the_list_of_the_first(config, images, monkeypatch):
    def slowly(*words):
        plan = make_plan(*words)
        monkeypatch.setattr("utils.shards.job.make_plan", make_plan)
        shutil.copy(images / "000.png", images / "late.png")
        assert predict(config).images == 12  # the other run lists, predicts and ends meanwhile
        return plan

    monkeypatch.setattr("utils.shards.job.make_plan", slowly)
    result = predict(config)
    assert (result.images, result.done) == (12, 0)
    assert "late.png" in rows_of(config.out)


@pytest.mark.parametrize(
    ("changes", "shards"),
    [
        ({}, False),
        ({"engine": "local"}, True),
        ({"images": Url("s3://b")}, True),
        ({"out": Url("s3://b")}, True),
        ({"images": Path("a.csv")}, True),
        ({"images": Path("a.png")}, False),
    ],
)
def test_what_is_predicted_in_shards(changes, shards):
    assert in_shards(PredictConfig(**{"images": Path("folder"), **changes})) is shards


@pytest.mark.parametrize(
    ("image", "picture"),
    [
        ("a.jpg", "a.jpg.png"),
        ("line2/a.png", "line2/a.png.png"),
        ("../../a.png", None),
        ("/etc/a.png", None),
        ("s3://bucket/a.png", None),
        ("a\\..\\b.png", None),
        ("C:/a.png", None),
    ],
)
def test_pictures_stay_in_their_folder(image, picture):
    if picture:
        assert picture_of(image) == picture
    else:
        assert picture_of(image).removesuffix(".png").isalnum()
