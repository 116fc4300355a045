"""Runs a BERT on many texts: batches of similar length, one compiled program per length, all devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxdc.data.text.padding import padded
from jaxdc.data.text.progress import Progress
from jaxdc.data.text.vectorizer import silent
from jaxdc.distributed import sharding
from jaxdc.nn.sentence_model import SentenceModel

BUCKETS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # lengths that texts are padded to
TOKENS = 4096  # tokens per device and batch


class Encoder:
    """Computes sentence vectors.

    Args:
      model: model to read the weights from.
      devices: devices to use (default: those of this process, each of which embeds all texts).
    """

    def __init__(self, model: SentenceModel, devices: Sequence[Any] | None = None):
        self._model, self._mesh = model, sharding.make_mesh(devices or jax.local_devices())
        graphdef, state = nnx.split(model.load())
        self._state = jax.device_put(state, sharding.replicated(self._mesh))
        self._embed = jax.jit(lambda state, tokens: nnx.merge(graphdef, state)(tokens))

    def __call__(self, texts: Sequence[str], say: Callable[[str], None] = silent) -> np.ndarray:
        """Returns float32 ``[n, width]``; reports progress to ``say``."""
        tokens = self._model.tokens(texts)
        vectors = np.zeros((len(texts), self._model.settings.width), np.float32)
        by_sample = sharding.by_sample(self._mesh)
        with Progress("embedding texts", sum(map(len, tokens)), say) as progress:
            for rows, length, n_rows in batches([len(row) for row in tokens], self._mesh.size):
                ids = padded([tokens[row] for row in rows], length, n_rows)
                made = self._embed(self._state, jax.device_put(ids, by_sample))
                vectors[rows] = np.asarray(made)[: len(rows)]
                progress.advance(sum(len(tokens[row]) for row in rows))
        return vectors


def batches(lengths: Sequence[int], n_devices: int = 1) -> Iterator[tuple[np.ndarray, int, int]]:
    """Rows of similar length, with the length and the number of rows to pad the batch to."""
    bucket_of = np.searchsorted(BUCKETS, lengths)
    for i in np.unique(bucket_of):
        rows = np.flatnonzero(bucket_of == i)
        # A power of two: a few texts don't need a full batch, and only a few programs are compiled.
        per_device = min(TOKENS // BUCKETS[i], 2 ** int(np.ceil(np.log2(max(len(rows) / n_devices, 1)))))
        n_rows = per_device * n_devices
        for first in range(0, len(rows), n_rows):
            yield rows[first : first + n_rows], BUCKETS[i], n_rows


@functools.lru_cache(maxsize=1)
def encoder_of(model: SentenceModel) -> Encoder:
    """A cached encoder, with its compiled programs, if there is one."""
    return Encoder(model)
