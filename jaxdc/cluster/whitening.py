"""Principal components scaled to variance 1."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from jaxdc.cluster import _blocks, _checks, layout
from jaxdc.cluster._blocks import PRECISION


class PCAWhitening(NamedTuple):
    """Whitened samples, and the transformation for others: see ``transform``."""

    whitened: Float[Array, "n c"]
    mean: Float[Array, " d"]
    components: Float[Array, "c d"]
    variances: Float[Array, " c"]

    def transform(self, x: Real[Array, "m d"]) -> Float[Array, "m c"]:
        """Whitens other samples: ``(x - mean) components^T / sqrt(variances)``.

        Raises:
          ValueError: ``x`` is not a numeric matrix as wide as the samples were.
        """
        x = _checks.matrix("x", x)
        if x.shape[1] != self.mean.shape[0]:
            raise ValueError(f"x has {x.shape[1]} columns, but the components have {self.mean.shape[0]}")
        return _project(_checks.wide(x) - self.mean[None, :], self.components, self.variances)


def pca_whiten(x: Real[Array, "n d"], n_components: int) -> PCAWhitening:
    """Projects samples on their principal components and scales each component to variance 1.

    DeepCluster does this to features before k-means (Caron et al., 2018, arXiv 1807.05520, section
    4.1, with 256 components; the L2-normalisation that follows there is left to the caller). Uses the
    eigenvectors of the covariance ``[d, d]``, which is summed over sharded rows of ``x`` without moving
    them.

    Args:
      x: samples ``[n, d]``, finite, n >= 2; computed in float32 (float64 stays).
      n_components: number of components c, from 1 to the smaller of n and d.

    Returns:
      ``PCAWhitening``: the whitened samples ``[n, c]``; mean ``[d]``; components ``[c, d]``, of unit
      length, by descending variance, each with its largest entry positive; variances ``[c]`` (divided
      by n - 1), in the squared unit of ``x``. A direction whose variance is below the rounding error of
      the largest one gives zeros: whitened, it would be noise.

    Raises:
      ValueError: ``x`` is not a numeric matrix with at least two rows, or ``n_components`` is out of range.

    Example:
      >>> result = pca_whiten(jnp.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]), 1)
      >>> print(result.whitened[:, 0], result.variances)
      [-1.  0.  1.] [4.]
    """
    x = _checks.matrix("x", x)
    if x.shape[0] < 2:
        raise ValueError(f"x must have at least two samples, but its shape is {x.shape}")
    _checks.within("n_components", n_components, 1, min(x.shape), f"for x of shape {x.shape}")
    return _pca_whiten(x, n_components, layout.cut_of(x))


@functools.partial(jax.jit, static_argnames=("n_components", "cut"))
def _pca_whiten(x, n_components, cut):
    x = _checks.wide(x)
    n, d = x.shape
    origin = _blocks.origin_of(x)
    x = layout.to_rows(x, cut, lambda rows: rows - origin[None, :])
    mean = jnp.sum(x, axis=0) / n
    x = x - mean[None, :]
    if x.shape[0] != n:
        x = jnp.where((jnp.arange(x.shape[0]) < n)[:, None], x, 0.0)
    covariance = jnp.matmul(x.T, x, precision=PRECISION) / (n - 1)
    variances, vectors = jnp.linalg.eigh(covariance)
    components = vectors[:, : -n_components - 1 : -1].T
    variances = variances[: -n_components - 1 : -1]
    largest = jnp.take_along_axis(components, jnp.argmax(jnp.abs(components), axis=1)[:, None], axis=1)
    components = components * jnp.where(largest < 0, -1.0, 1.0)
    lost = max(n, d) * jnp.finfo(x.dtype).eps * variances[0]
    variances = jnp.where(variances > lost, variances, 0.0)
    whitened = layout.from_rows(_project(x, components, variances), n, cut)
    return PCAWhitening(whitened, mean + origin, components, variances)


def _project(x, components, variances):
    scale = jnp.where(variances > 0, jax.lax.rsqrt(jnp.where(variances > 0, variances, 1.0)), 0.0)
    return jnp.matmul(x, components.T, precision=PRECISION) * scale[None, :]
