"""Systems find their members, wherever those lie, and damaged system files harm nobody."""

import json

import pytest

from utils.weights.membership import systems_with


@pytest.mark.parametrize("folder", ["", "segmenter"])
def test_the_systems_of_a_weights_file(tmp_path, folder):
    weights, other = tmp_path / folder / "a.pth", tmp_path / folder / "b.pth"
    weights.parent.mkdir(exist_ok=True)
    member = {"file": str(weights.relative_to(tmp_path)), "sha256": "0"}
    (tmp_path / "x.system.json").write_text(json.dumps({"members": {"segmenter": member}}))
    for name, text in (
        ("damaged", "{"),
        ("list", "[]"),
        ("odd", '{"members": {"a": 3}}'),
        ("none", '{"members": null}'),
    ):
        (tmp_path / f"{name}.system.json").write_text(text)
    assert systems_with(weights) == [tmp_path / "x.system.json"]
    assert systems_with(other) == []
