"""Published weights on the Hugging Face hub, in SMP's own format: ``smp.from_pretrained("USER/NAME")`` opens them."""

from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, errors
from torch import nn

from utils.errors import InputError
from utils.files import write_text
from utils.weights.cards import is_of_smp

FRONT_MATTER = """---
library_name: segmentation-models-pytorch
pipeline_tag: image-segmentation
license: {licence}
tags:
- steel
- defect-detection
- semantic-segmentation
---
"""


def check(repository: str, net: nn.Module) -> None:
    """Refuse a push that cannot work before anything is written.

    Raises:
        InputError: the network is not SMP's, nobody is logged in, or the hub cannot be reached.
    """
    if not is_of_smp(net):
        raise InputError(f"-push {repository}: SMP's format has no {type(net).__name__}; leave -push out")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise InputError(f"-push {repository}: expected USER/NAME")
    _ask(repository, lambda api: api.whoami())


def write_folder(folder: Path, net: Any, text: str, licence: str = "other") -> None:
    """Write what SMP opens, and a card.

    Args:
        folder: to write ``config.json``, ``model.safetensors`` and ``README.md`` to.
        net: a network of SMP.
        text: the card.
        licence: the hub's word for it; the data has terms of its own.
    """
    net.save_pretrained(folder)
    write_text(folder / "README.md", FRONT_MATTER.format(licence=licence) + text)


def push(repository: str, folder: Path, message: str) -> None:
    """Send a folder to a model repository, which is made if missing, in one commit.

    Raises:
        InputError: the hub refuses or cannot be reached.
    """

    def send(api: HfApi) -> Any:
        api.create_repo(repository, exist_ok=True)
        return api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)

    _ask(repository, send)


def _ask(repository: str, request: Any) -> None:
    try:
        request(HfApi())
    except errors.LocalTokenNotFoundError:
        raise InputError(f"-push {repository}: nobody is logged in; run 'hf auth login', or set HF_TOKEN") from None
    except errors.HFValidationError as error:
        raise InputError(f"-push {repository}: {' '.join(str(error).split())}; correct the name") from None
    except errors.HfHubHTTPError as error:
        code = getattr(error.response, "status_code", None)
        if code in (401, 403):
            raise InputError(
                f"-push {repository}: the hub refuses ({code}); run 'hf auth login' with a token that may write there"
            ) from None
        raise InputError(f"-push {repository}: the hub answers {code}; try again later") from None
    except Exception as error:  # the hub's client has network errors of its own, which change with its versions
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise  # the disk's fault
        raise InputError(
            f"-push {repository}: the hub cannot be reached ({type(error).__name__}); check the network connection"
        ) from None
