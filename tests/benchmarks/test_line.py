"""Halves of images that share no scene, and a line of which a share is defective."""

import pytest

from benchmarks.line import LineConfig, halves
from benchmarks.line_system import mixed
from utils.errors import InputError


def test_halves_share_no_scene(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(30)]
    split = tmp_path / "split.csv"
    rows = [f"{path.name},train,{number // 3}\n" for number, path in enumerate(paths)]
    split.write_text("image,side,group\n" + "".join(rows))
    first, second = halves(paths, LineConfig(split=split))
    assert sorted(first + second) == sorted(paths)
    assert len(first) == len(second) == 15
    assert not {int(path.stem) // 3 for path in first} & {int(path.stem) // 3 for path in second}
    by_image = halves(paths, LineConfig())
    assert {int(path.stem) // 3 for path in by_image[0]} & {int(path.stem) // 3 for path in by_image[1]}
    with pytest.raises(InputError, match="does not know all"):
        halves([*paths, tmp_path / "other.jpg"], LineConfig(split=split))


def test_share_of_the_line_is_defective_and_evenly_spread():
    line = mixed(["bad0", "bad1"], [f"good{n}" for n in range(50)], 200, 0.05)
    assert len(line) == 200
    places = [place for place, name in enumerate(line) if name.startswith("bad")]
    assert places == list(range(10, 200, 20))
    assert {line[place] for place in places} == {"bad0", "bad1"}
    assert len(set(line)) == 52
    with pytest.raises(InputError, match="draw more"):
        mixed([], ["good"], 20, 0.05)
