"""An encoder at work: one compiled program, all devices, all processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc.data import Source
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.float32 import in_float32
from jaxdc.nn.encoders import ImageModel

PER_DEVICE = {"cpu": 64}  # images at a time; 256 on an accelerator


class Embedder:
    """Makes vectors of the images of a source.

    Args:
      model: the encoder.
      dtype: dtype of matrix products and activations.
      devices: to work on; by default all.
    """

    @in_float32
    def __init__(self, model: ImageModel, dtype: str = "float32", devices: Sequence[Any] | None = None):
        self._preprocess, self._mesh, self._dtype = model.preprocess, sharding.make_mesh(devices), dtype
        graphdef, state = nnx.split(model.load(jnp.dtype(dtype)))
        self._state = sharding.replicate(state, self._mesh)

        def embed(state, images):
            z = nnx.merge(graphdef, state)(model.preprocess.normalized(images))
            return z / jnp.maximum(jnp.linalg.norm(z, axis=1, keepdims=True), 1e-12)

        self._embed = jax.jit(embed, out_shardings=sharding.replicated(self._mesh))
        self.batch_size = PER_DEVICE.get(self._mesh.devices.flat[0].platform, 256) * self._mesh.size

    def __call__(self, source: Source, first: int = 0) -> Iterator[np.ndarray]:
        """Vectors ``[b, d]`` of unit length, float32, of the samples from the first on, in order.

        Each process reads its part of a batch, and gets all vectors of it.
        """
        starts = range(first, source.n_samples, self.batch_size)
        index, n_processes = sharding.shard_of_process()
        part = self.batch_size // n_processes
        # A short batch goes on with the last sample: of its rows, the first are kept.
        last = source.n_samples - 1
        rows = (np.minimum(np.arange(part) + start + index * part, last) for start in starts)
        for start, (images, _) in zip(starts, source.read(rows), strict=True):
            vectors = self._vectors(images)[: source.n_samples - start]
            if not np.isfinite(vectors).all():
                row = start + int(np.argmin(np.isfinite(vectors).all(axis=1)))
                raise InputError(
                    f"the encoder gives NaN or infinite features for sample {row} of {source.name}: its weights "
                    f"are damaged, or too large for {self._dtype}"
                )
            yield vectors

    @in_float32
    def _vectors(self, images: np.ndarray) -> np.ndarray:
        local = self._preprocess.resized(_as_uint8(images))
        return np.asarray(self._embed(self._state, sharding.batch_from_local(local, self._mesh)))


def _as_uint8(images: np.ndarray) -> np.ndarray:
    """Floats from 0 to 1 as pictures have them."""
    if images.dtype == np.uint8:
        return images
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
