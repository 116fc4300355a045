"""Compiled functions from features to clusters."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxdc.distributed import sharding
from jaxdc.methods.base import Method
from jaxdc.train.labels import labels_on_device
from jaxdc.train.state import TrainState, merge


def make_assign(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """Returns ``(state, features [b, d]) -> probabilities [b, k]``, on every device."""

    def assign(state, features):
        return method.assign(merge(graphdef, state), state.aux, features)

    return jax.jit(assign, out_shardings=sharding.replicated(mesh))


class Assign:
    """The clusters of all samples from their features, in blocks; only labels or probabilities leave the devices.

    Args:
      method: the method.
      graphdef: its network.
      mesh: the devices.
      block: rows of a block, over all devices.
    """

    def __init__(self, method: Method, graphdef: nnx.GraphDef, mesh: Mesh, block: int):
        self._mesh, self._block = mesh, block

        def assign(state, features, start):
            rows = self._take(features, start)
            rows = jax.lax.with_sharding_constraint(rows, sharding.by_sample(mesh))
            return method.assign(merge(graphdef, state), state.aux, rows)

        on_all = sharding.replicated(mesh)
        self._probabilities = jax.jit(assign, out_shardings=on_all)
        self._labels = jax.jit(lambda *given: labels_on_device(assign(*given)), out_shardings=on_all)

    def probabilities(self, state: TrainState, features: jax.Array, n: int) -> np.ndarray:
        """``[n, k]`` of the first n samples, on the host of every process."""
        return self._all(self._probabilities, state, features)[:n]

    def labels(self, state: TrainState, features: jax.Array, n: int) -> np.ndarray:
        """int32 ``[n]`` of the first n samples: the most probable cluster; -1 for one that belongs to none."""
        return self._all(self._labels, state, features)[:n]

    def _all(self, assign, state, features):
        found: np.ndarray | None = None
        n_shares, m, rows = self._sizes(features)
        for i in range(-(-m // rows)):
            start = min(i * rows, m - rows)
            part = np.asarray(assign(state, features, np.int32(start)))
            if found is None:
                found = np.zeros((n_shares, m, *part.shape[1:]), part.dtype)
            found[:, start : start + rows] = part.reshape(n_shares, rows, *part.shape[1:])
        assert found is not None
        return found.reshape(-1, *found.shape[2:])

    def _sizes(self, features):
        """Shares of the rows, rows of a share, and those of it in a block."""
        n_shares = 1 if len(features) % self._mesh.size else self._mesh.size
        m = len(features) // n_shares
        return n_shares, m, min(max(self._block // n_shares, 1), m)

    def _take(self, features, start):
        n_shares, m, rows = self._sizes(features)
        shares = features.reshape(n_shares, m, *features.shape[1:])
        block = jax.lax.dynamic_slice_in_dim(shares, start, rows, axis=1)
        return block.reshape(n_shares * rows, *features.shape[1:])
