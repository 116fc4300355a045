"""The tensors in a folder of weights, and the checksum that says which weights they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from jaxdc.errors import InputError
from jaxdc.nn.encoders.torch_file import read_torch_file
from jaxdc.reading import read_json

SAFE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".pth", ".pt", ".bin")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: ``model.safetensors``, its shards, or else the one pickle that there is.

    Raises:
      InputError: there are none, or several pickles to choose among.
    """
    if (folder / SAFE).exists():
        return [folder / SAFE]
    if (folder / INDEX).exists():
        return [folder / name for name in _shards(folder / INDEX)]
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if len(pickles) != 1:
        more = f"{len(pickles)} files to choose among ({', '.join(path.name for path in pickles[:3])})"
        raise InputError(
            f"{folder} is no encoder: it holds {more if pickles else 'no weights'}, where {SAFE}, its shards, or "
            f"a single {', '.join(PICKLES)} file are expected"
        )
    return pickles


def _shards(index: Path) -> list[str]:
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} can't be read: {error}") from error
    for name in names:
        if Path(name).name != name or not (index.parent / name).exists():
            raise InputError(f"{index} speaks of {name}, which is not in its folder")
    return names


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """All of them by their names; half-precision ones become float32."""
    tensors: dict[str, np.ndarray] = {}
    for path in weight_files(folder):
        tensors |= read_torch_file(path) if path.suffix in PICKLES else _read_safetensors(path)
    return {name: x.astype(np.float32) if _is_float(x) else x for name, x in tensors.items()}


def _is_float(x: np.ndarray) -> bool:
    return x.dtype.kind == "f" or x.dtype.name == "bfloat16"  # of NumPy's point of view the latter is of no kind


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        import ml_dtypes  # noqa: F401  (NumPy then knows bfloat16)
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise InputError("reading the weights needs safetensors: pip install 'jaxdc[encoders]'") from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def checksum(folder: Path) -> str:
    """Checksum of the weights: sixteen hexadecimal digits of a SHA-256 over all their files."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        with path.open("rb") as file:
            while part := file.read(2**22):
                digest.update(part)
    return digest.hexdigest()[:16]
