"""What a command imports before it works: nothing that this run does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLOW = (
    "catalyst albumentations matplotlib segmentation_models_pytorch timm torchvision pandas torch._dynamo onnx openvino"
)


@pytest.mark.slow
def test_prediction_imports_nothing_that_only_training_conversion_or_reports_need():
    code = f"import sys, utils.commands.predict_folder; print(sorted(set({SLOW.split()}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("[]\n", "")


def test_data_of_predictions_import_no_tables():
    """The cheaper sibling: without torch."""
    code = (
        "import sys, utils.data.dataset_folder, utils.data.submission;"
        " print(sorted({'pandas', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("[]\n", "")
