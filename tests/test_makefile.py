"""Which build of torch ``make`` installs, and when; nothing is installed here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="this machine has no make")
@pytest.mark.parametrize(
    ("there", "words", "installs", "kept"),
    [
        (None, [], "--requirements requirements.lock", ""),
        (None, ["TORCH=cpu"], "--torch-backend cpu", "cpu"),
        ("", [], None, ""),
        ("", ["TORCH=cpu"], "--torch-backend cpu", "cpu"),
        ("cpu", [], None, "cpu"),
        ("cpu", ["TORCH=cpu"], None, "cpu"),
        ("cpu", ["TORCH=cu126"], "--torch-backend cu126", "cu126"),
        ("cpu", ["TORCH="], "--requirements requirements.lock", ""),
        ("cpu", ["--assume-new=requirements.lock"], "--torch-backend cpu", "cpu"),
    ],
)
def test_a_build_of_torch_stays_until_another_is_named(tmp_path, there, words, installs, kept):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "uv").touch()
    if there is not None:
        (venv / ".installed").write_text(f"{there}\n")
    command = ["make", "--dry-run", "install", f"VENV={venv}", "PYTHON=python3", *words]
    environment = {key: value for key, value in os.environ.items() if key != "TORCH" and not key.startswith("MAKE")}
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment).stdout
    if installs is None:
        assert "uv pip" not in said
    else:
        assert installs in said
        assert f'echo "{kept}" >' in said
