"""A BERT at work on many texts: like lengths together, one compiled program a length, all devices."""

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

BUCKETS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # lengths that texts are filled up to
TOKENS = 4096  # that a device takes at a time


class Encoder:
    """Sentence vectors of texts.

    Args:
      model: whose weights are read.
      devices: to work on; by default those of this process, of which each embeds all texts.
    """

    def __init__(self, model: SentenceModel, devices: Sequence[Any] | None = None):
        self._model, self._mesh = model, sharding.make_mesh(devices or jax.local_devices())
        graphdef, state = nnx.split(model.load())
        self._state = jax.device_put(state, sharding.replicated(self._mesh))
        self._embed = jax.jit(lambda state, tokens: nnx.merge(graphdef, state)(tokens))

    def __call__(self, texts: Sequence[str], say: Callable[[str], None] = silent) -> np.ndarray:
        """Float32 ``[n, width]``; ``say`` is told how far it has come."""
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
    """Rows of like lengths, the length that they are filled up to, and the rows that the batch is filled up to."""
    bucket_of = np.searchsorted(BUCKETS, lengths)
    for i in np.unique(bucket_of):
        rows = np.flatnonzero(bucket_of == i)
        # A power of two, so that a few texts are no full batch and yet few programs are compiled.
        per_device = min(TOKENS // BUCKETS[i], 2 ** int(np.ceil(np.log2(max(len(rows) / n_devices, 1)))))
        n_rows = per_device * n_devices
        for first in range(0, len(rows), n_rows):
            yield rows[first : first + n_rows], BUCKETS[i], n_rows


@functools.lru_cache(maxsize=1)
def encoder_of(model: SentenceModel) -> Encoder:
    """One that was made before, with what it has compiled, where there is one."""
    return Encoder(model)
