"""Images as a source of the vectors that an encoder made of them."""

from __future__ import annotations

import numpy as np

from jaxdc.data import ArraySource, Source
from jaxdc.data.mapped import MappedSource
from jaxdc.embed.encoder import ImageEncoder


class EmbeddedSource(Source):
    """Images, of which a method sees the vectors.

    Args:
      images: the images.
      vectors: ``[n, d]`` float32 of them, which may be mapped from disk.
      encoder: encoder that made them.
      resident_bytes: vectors larger than this stay on disk, and go to the device in batches.
    """

    images: Source

    def __init__(self, images: Source, vectors: np.ndarray, encoder: ImageEncoder, *, resident_bytes: int = 2**31):
        stays = vectors.nbytes > resident_bytes
        self._vectors = (
            MappedSource(vectors, name=images.name) if stays else ArraySource(vectors, name=images.name)
        )
        self.images, self.encoder = images, encoder
        self.name, self.protocol, self.opened = images.name, images.protocol, images.opened
        self.shape, self.dtype, self.n_samples = self._vectors.shape, self._vectors.dtype, len(vectors)
        self.labels, self.sample_names, self.n_reported = images.labels, images.sample_names, images.n_reported
        self.array, self.understood, self.divisors = self._vectors.array, images.understood, images.divisors

    def read(self, rows):
        return self._vectors.read(rows)

    def blocks(self, batch_size, *, shard):
        return self._vectors.blocks(batch_size, shard=shard)

    def fingerprint(self):
        # The images', for vectors may differ in rounding from machine to machine, and the run be the same.
        return self.images.fingerprint()
