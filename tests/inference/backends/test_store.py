"""What is kept between runs belongs to the weights, stays small, and is never needed."""

import os

import pytest

from utils.decision.decision import Decision
from utils.inference.backends import store as module
from utils.inference.backends.store import Store, network_fingerprint

pytestmark = pytest.mark.usefixtures("cache")


def test_folders_and_notes_are_found_again(weights):
    Store(weights).keep("graph", lambda folder: (folder / "a.txt").write_text("1"))
    Store(weights).put_note("choice", {"backend": "torch"})
    again = Store(weights)
    assert (again.folder("graph") / "a.txt").read_text() == "1"
    assert again.note("choice") == {"backend": "torch"}
    assert again.note("other") is None
    assert again.folder("other") is None


def test_other_weights_have_another_store(weights):
    changed = {name: tensor + 1 if name.endswith("bias") else tensor for name, tensor in weights.state_dict.items()}
    other = module.WeightsFile(**{**vars(weights), "state_dict": changed})
    same = module.WeightsFile(**{**vars(weights), "decision": Decision((0.1, 0.2), (0, 0))})
    assert network_fingerprint(other) != network_fingerprint(weights) == network_fingerprint(same)


def test_looking_leaves_nothing_behind(weights, cache):
    store = Store(weights)
    assert (store.folder("graph"), store.note("choice")) == (None, None)
    assert not cache.exists()


def test_a_failed_write_leaves_nothing(weights):
    def fill(folder):
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    store = Store(weights)
    store.keep("graph", fill)
    assert store.folder("graph") is None
    assert list(store.root.iterdir()) == []


def test_the_networks_that_were_not_used_for_longest_go(weights, cache, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    for age, name in enumerate(["new", "old", "oldest"]):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (1e9 - age, 1e9 - age))
    store = Store(weights)
    store.put_note("choice", 1)
    assert {folder.name for folder in cache.iterdir()} == {store.root.name, "new"}


def test_the_parts_of_a_network_that_were_not_used_for_longest_go(weights, monkeypatch):
    monkeypatch.setattr(module, "PARTS", 2)
    store = Store(weights)
    for age, name in enumerate(["32x32", "64x32"]):
        store.keep(name, lambda folder: None)
        os.utime(store.root / name, (1e9 + age, 1e9 + age))
    store.put_note("choice", 1)
    assert store.folder("32x32") is not None  # used again
    store.keep("96x32", lambda folder: None)
    assert {path.name for path in store.root.iterdir()} == {"32x32", "96x32", "notes.json"}
    place = store.place("32x32")
    for age in range(3):
        (place / f"{age}.blob").write_text("")
        os.utime(place / f"{age}.blob", (1e9 - age, 1e9 - age))
    assert {path.name for path in store.place("32x32").iterdir()} == {"0.blob", "1.blob"}


def test_without_a_home_nothing_is_kept(weights, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    store = Store(weights)
    store.keep("graph", lambda folder: None)
    store.put_note("choice", 1)
    assert (store.folder("graph"), store.place("x"), store.note("choice")) == (None, None, None)


def test_a_full_disk_gets_no_compiled_networks(weights, monkeypatch):
    assert Store(weights).place("compiled") is not None
    monkeypatch.setattr(module, "ROOM", 2**70)
    assert Store(weights).place("compiled") is None
