"""Ladder networks: noise at every layer, and a decoder that removes it (Rasmus et al., 2015, arXiv 1507.02672).

The encoder runs twice: plain, and with Gaussian noise added to the samples and to the result of every layer. The
decoder goes from the top of the noisy pass down to the samples. At every level it estimates the plain value from
the noisy one and from its estimate of the level above, by ``combinator``; each estimate's squared error is a cost.

As in Kingdra's code for MNIST, hidden layers are normalised and the top is not, and an estimate is compared with
the plain value as it is. In the ladder networks' paper the top is normalised too, and estimates are normalised by
the plain pass's statistics.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import losses
from jaxdc.methods.base import DataSpec
from jaxdc.methods.parts import perceptrons

EPSILON = 1e-5
MOMENTUM = 0.9  # weight of the old running statistics in an update
# A unit's ten values: all but the slopes within the sigmoids are 0, and so is the first estimate of everything.
INITIAL = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Ladders(nnx.Module):
    """The encoder: m ladder networks side by side, with their decoders.

    Args:
      spec: specification of the data.
      sizes: widths of the levels, from the samples to the clusters.
      n_members: number of networks, m.
      noise: standard deviation of what is added to a value of the noisy pass; samples have a mean square of 1.
      rngs: random streams for initialisation.
    """

    def __init__(self, spec: DataSpec, sizes: tuple[int, ...], n_members: int, noise: float, rngs: nnx.Rngs):
        self.scale = nnx.Variable(perceptrons.scale_of(spec))
        self.n_members, self.offset, self.noise = n_members, spec.offset, noise
        initial = nnx.initializers.variance_scaling(
            1.0, "fan_avg", "truncated_normal", in_axis=-2, out_axis=-1, batch_axis=0
        )
        shapes = [(n_members, *pair) for pair in itertools.pairwise(sizes)]
        self.kernels = nnx.List(nnx.Param(initial(rngs.params(), shape)) for shape in shapes)
        self.down = nnx.List(nnx.Param(initial(rngs.params(), (m, e, d))) for m, d, e in shapes)
        self.biases = nnx.List(nnx.Param(jnp.zeros((n_members, size))) for size in sizes[1:])
        start = jnp.array(INITIAL)[:, None, None]
        self.combinators = nnx.List(nnx.Param(jnp.tile(start, (1, n_members, size))) for size in sizes)
        self.means = nnx.List(nnx.BatchStat(jnp.zeros((n_members, size))) for size in sizes[1:-1])
        self.variances = nnx.List(nnx.BatchStat(jnp.ones((n_members, size))) for size in sizes[1:-1])

    def scaled(self, x: jax.Array) -> jax.Array:
        """[b, ...] -> the samples for each member, less the offset and in units of their rms: [b, m, d]."""
        return perceptrons.scaled(x, self.offset, self.scale[...], self.n_members)

    def plain(self, z: jax.Array, *, train: bool) -> tuple[jax.Array, list[jax.Array]]:
        """[b, m, d] -> the logits [b, m, k], and the value of every level from the samples up.

        Args:
          z: samples for each member.
          train: normalise by the statistics of this batch, and update the running ones.
        """

        def normalised(i, z):
            if not train:
                return _standardised(z, self.means[i][...], self.variances[i][...])
            mean, var = jnp.mean(z, axis=0), jnp.var(z, axis=0)
            unbiased = jax.lax.stop_gradient(var) * (len(z) / max(len(z) - 1, 1))
            for kept, new in ((self.means[i], jax.lax.stop_gradient(mean)), (self.variances[i], unbiased)):
                kept[...] = MOMENTUM * kept[...] + (1 - MOMENTUM) * new
            return _standardised(z, mean, var)

        return self._up(z, normalised)

    def noisy(self, z: jax.Array, noise: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        """The same of a pass with this noise at every level. Its statistics are its own, and are not kept."""
        return self._up(z, lambda i, z: by_batch(z), noise)

    def draw(self, key: jax.Array, batch_size: int) -> list[jax.Array]:
        """Noise for every level, from the samples up: [b, m, width] each."""
        widths = [self.kernels[0].shape[1], *(kernels.shape[2] for kernels in self.kernels)]
        keys = jax.random.split(key, len(widths))
        shapes = [(batch_size, self.n_members, width) for width in widths]
        return [self.noise * jax.random.normal(one, shape) for one, shape in zip(keys, shapes, strict=True)]

    def estimates(self, logits: jax.Array, levels: list[jax.Array]) -> list[jax.Array]:
        """The decoder: the estimated plain value of every level of a noisy pass, from the samples up."""
        u, made = by_batch(logits), []
        for i in reversed(range(len(levels))):
            made.append(combinator(levels[i], u, self.combinators[i][...]))
            if i:
                u = by_batch(perceptrons.products(made[-1], self.down[i - 1][...]))
        return made[::-1]

    def passes(self, z: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
        """The logits [b, m, k] of a plain and of a noisy pass in training, and the cost of every level.

        A cost is the squared error of the estimates, averaged over units, members and samples.
        """
        plain, values = self.plain(z, train=True)
        noisy, levels = self.noisy(z, self.draw(key, len(z)))
        pairs = zip(values, self.estimates(noisy, levels), strict=True)
        return plain, noisy, [jnp.mean(losses.squared_error(value, estimate)) for value, estimate in pairs]

    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, ...] -> the logits of all members side by side, [b, m k]."""
        return self.plain(self.scaled(x), train=False)[0].reshape(len(x), -1)

    def _up(self, z, normalised, noise=None):
        """The encoder, with what normalises hidden layer i of it."""

        def perturbed(z, level):
            return z if noise is None else z + noise[level]

        h, last = perturbed(z, 0), len(self.kernels) - 1
        levels = [h]
        for i, (kernels, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            z = perceptrons.products(h, kernels[...])
            levels.append(perturbed(normalised(i, z) if i < last else z, i + 1))
            h = levels[-1] + bias[...][None]
            h = nnx.relu(h) if i < last else h
        return h, levels


def combinator(z: jax.Array, u: jax.Array, values: jax.Array) -> jax.Array:
    """The estimate of a unit's plain value from its noisy value and the signal from above.

    ``(z - mean(u)) v(u) + mean(u)`` where each of ``mean`` and ``v`` is ``a1 sigmoid(a2 u + a3) + a4 u + a5`` with
    five values of its own: the best estimate if the plain value is Gaussian given u (Rasmus et al., 2015).

    Args:
      z: noisy values ``[b, ...]``.
      u: the signal from above, of the same shape.
      values: the ten values of each unit ``[10, ...]``, those of the mean first.

    Returns:
      Estimates of the shape of ``z``.
    """
    a = values[:, None]
    mean, v = (a[i] * jax.nn.sigmoid(a[i + 1] * u + a[i + 2]) + a[i + 3] * u + a[i + 4] for i in (0, 5))
    return (z - mean) * v + mean


def by_batch(z: jax.Array) -> jax.Array:
    """[b, m, d] normalised by the mean and the variance of each unit over the batch, without scale or shift."""
    return _standardised(z, jnp.mean(z, axis=0), jnp.var(z, axis=0))


def _standardised(z, mean, var):
    return (z - mean[None]) * jax.lax.rsqrt(var + EPSILON)[None]
