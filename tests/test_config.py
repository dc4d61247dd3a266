"""Choices and groups of flags stand once in config.py, and the tables that implement them know the same names."""

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest

import config as configs
from config import (
    PROJECT,
    VERSION,
    Architecture,
    Backend,
    Engine,
    EvaluateConfig,
    ExportConfig,
    ExportFormat,
    LabelTask,
    Loss,
    MaskTask,
    OneNetworkSystem,
    Precision,
    PredictConfig,
    ServeConfig,
    Side,
    StoredTta,
    SystemKind,
    Task,
    TrainConfig,
    Tta,
    Url,
)
from utils.cli import parse
from utils.commands.export_model import PACKAGES
from utils.data.folder_layout import IMAGES, LABELS
from utils.device import DTYPES, versions
from utils.errors import InputError
from utils.inference.backends import BACKENDS
from utils.inference.systems.making import SYSTEMS
from utils.inference.tta import VIEWS, WORDS
from utils.models.architectures import ARCHITECTURES
from utils.models.spec import ANOMALY, DECODER_BLOCKS, LABEL_TASKS, MASK_TASKS
from utils.settings import fields_of, from_plain, grouped_fields, to_plain
from utils.shards.engines import ENGINES
from utils.training.losses import _LOSSES
from utils.weights.system_file import KINDS, SEGMENTERS

CONFIG_CLASSES = [kind for name, kind in vars(configs).items() if name.endswith("Config")]


@pytest.mark.parametrize(
    ("choice", "table"),
    [
        (Architecture, ARCHITECTURES),
        (Loss, _LOSSES),
        (Precision, DTYPES),
        (SystemKind, SYSTEMS),
        (SystemKind, KINDS),
        (MaskTask, MASK_TASKS),
        (LabelTask, LABEL_TASKS),
        (Task, (*MASK_TASKS, *LABEL_TASKS, ANOMALY)),
        (ExportFormat, PACKAGES),
        (Side, IMAGES),
        (Side, LABELS),
        (Engine, ENGINES),
    ],
)
def test_table_has_the_names_of_the_flag(choice, table):
    assert set(get_args(choice)) == set(table)
    assert len(set(get_args(choice))) == len(get_args(choice)) == len(table)


def test_table_has_the_names_of_the_flag_but_for_those_that_stand_for_others():
    assert set(get_args(Backend)) - set(BACKENDS) == {"auto"}
    assert set(get_args(Tta)) - set(VIEWS) == {"stored", "none"}
    assert set(get_args(StoredTta)) - set(VIEWS) == {"none"}
    assert set(WORDS) == set(VIEWS) < set(get_args(Tta))
    assert set(BACKENDS) < set(get_args(Backend))


def test_names_of_a_part_are_names_of_the_whole():
    assert set(get_args(OneNetworkSystem)) == set(get_args(SystemKind)) & set(get_args(Architecture))
    assert set(DECODER_BLOCKS) < set(get_args(Architecture))
    assert set(MASK_TASKS) - set(SEGMENTERS) == {"per-class"}


@pytest.mark.parametrize("kind", CONFIG_CLASSES)
def test_every_field_has_one_place_and_the_commands_own_come_first(kind):
    groups = grouped_fields(kind)
    fields = [field for group in groups.values() for field in group]
    assert sorted(field.name for field in fields) == sorted(field.name for field in dataclasses.fields(kind))
    assert next(iter(groups)) == ""
    assert all(field.kw_only for field in fields)
    assert kind.__dataclass_params__.frozen
    assert list(fields_of(kind)) == [field.name for field in fields]


def test_order_is_that_of_the_class_statement():
    headings = {"": "dir", "weights": "weights_dir", "decision": "threshold"}
    headings |= {"tiles and test-time augmentation": "tile", "images": "bit_depth", "machine": "batch_size"}
    headings |= {"shards (docs/scale.md)": "engine"}
    assert {heading: group[0].name for heading, group in grouped_fields(PredictConfig).items()} == headings
    machine = ["num_of_workers", "cache", "precision", "device", "threads"]
    assert [field.name for field in grouped_fields(TrainConfig)["machine"]] == machine
    plain = to_plain(TrainConfig())
    assert list(plain) == [name for name in fields_of(TrainConfig) if name in plain]


def test_field_with_another_default_stays_under_its_heading():
    assert fields_of(EvaluateConfig)["precision"].default == "f32" != fields_of(ServeConfig)["precision"].default
    assert "precision" in [field.name for field in grouped_fields(EvaluateConfig)["machine"]]
    assert "system file" not in fields_of(ExportConfig)["weights_dir"].metadata["help"]
    assert [field.name for field in grouped_fields(ExportConfig)["weights"]] == ["weights_dir", "weights", "class_map"]


def test_version_is_a_release_and_stands_first_among_the_versions():
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    found = versions()
    assert list(found)[:2] == [PROJECT, "python"]
    assert found[PROJECT] == VERSION
    assert all(found.values())


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("-min_area 500", {"min_area": 500}),
        ("-min_area 500,700,1100,2800", {"min_area": (500, 700, 1100, 2800)}),
        ("-max_area 0,60000,0,0", {"max_area": (0, 60000, 0, 0)}),
        ("-threshold 0.5,0.6 -high_threshold 0.9,0", {"threshold": (0.5, 0.6), "high_threshold": (0.9, 0.0)}),
        ("-threshold none", {"threshold": None}),
    ],
)
def test_a_value_or_one_a_class(words, values):
    config = parse(PredictConfig, words.split(), "Predict_masks.py", "")
    assert {name: getattr(config, name) for name in values} == values
    assert from_plain(PredictConfig, to_plain(config)) == config


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("s3://bucket/2026/", Url("s3://bucket/2026")),
        ("https://host/a.parquet", Url("https://host/a.parquet")),
        ("images/a,b", Path("images/a,b")),
        ("s3:/bucket", Path("s3:/bucket")),
    ],
)
def test_a_place_is_a_path_or_a_url(word, place):
    config = parse(PredictConfig, ["-images", word, "-out", word], "Predict_masks.py", "")
    assert (config.images, type(config.out)) == (place, type(place))
    assert from_plain(PredictConfig, to_plain(config)) == config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-threshold 0.5,1.5", r"-threshold 0\.5,1\.5: expected 0 to 1"),
        ("-min_area 500,-1", "-min_area 500,-1: expected 0 or more"),
        ("-min_area 500,a", "-min_area 500,a: expected a whole number"),
        ("-min_area 500,,7", "-min_area 500,,7: expected a whole number"),
    ],
)
def test_values_that_cannot_be(words, message):
    with pytest.raises(InputError, match=message):
        parse(PredictConfig, words.split(), "Predict_masks.py", "")
