"""Encoders by their names on the Hugging Face hub, through its own package where that is installed."""

from __future__ import annotations

import re
from pathlib import Path

from jaxdc.errors import InputError

FILES = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]


def folder_of(name: str, *, download: bool = False) -> Path:
    """The folder in which the hub's package keeps the model.

    Args:
      name: as the hub has it, such as "facebook/dinov2-small".
      download: fetch what is not there yet.

    Raises:
      InputError: it is no such name, the package is not installed, or the model is not there and can't be had.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.startswith((".", "/")):
        raise InputError(f"there is no encoder folder {name}")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(
            f"there is no folder {name}; to fetch the model of this name from the Hugging Face hub, "
            "pip install 'jaxdc[hub]'"
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, local_files_only=not download))
    except LocalEntryNotFoundError as error:
        if download:
            raise InputError(f"the Hugging Face hub can't be reached for the model {name}") from error
        raise InputError(
            f"there is no folder {name}, nor has a model of this name been fetched before; --download fetches it "
            "from the Hugging Face hub"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"there is no folder {name}, and the Hugging Face hub gives no model of this name ({reason})"
        ) from error
