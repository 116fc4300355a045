"""The networks of an ensemble, side by side in one module."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import nn
from jaxdc.methods.base import DataSpec


class Perceptrons(nnx.Module):
    """The encoder: m perceptrons with batch normalisation, side by side."""

    def __init__(self, spec: DataSpec, sizes: tuple[int, ...], n_members: int, rngs: nnx.Rngs):
        self.scale = nnx.Variable(scale_of(spec))
        self.n_members, self.offset = n_members, spec.offset
        initial = nnx.initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=-2, out_axis=-1, batch_axis=0)
        shapes = [(n_members, *pair) for pair in itertools.pairwise(sizes)]
        self.kernels = nnx.List(nnx.Param(initial(rngs.params(), shape)) for shape in shapes)
        self.norms = nnx.List(nn.BatchNorm(n_members * shape[2]) for shape in shapes)

    def scaled(self, x: jax.Array) -> jax.Array:
        """[b, ...] -> the samples for each member, less the offset and in units of their rms: [b, m, d]."""
        return scaled(x, self.offset, self.scale[...], self.n_members)

    def logits(self, z: jax.Array, *, train: bool) -> jax.Array:
        """[b, m, d] -> [b, m, k]."""
        for i, (kernels, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            z = products(nnx.relu(z) if i else z, kernels[...])
            z = norm(z.reshape(len(z), -1), train=train).reshape(z.shape)
        return z

    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, ...] -> the logits of all members side by side, [b, m k]."""
        return self.logits(self.scaled(x), train=False).reshape(len(x), -1)


def scale_of(spec: DataSpec) -> jax.Array:
    """What samples are multiplied by, so that their root mean square is 1."""
    return jnp.float32(1.0 / spec.rms if spec.rms > 0 else 1.0)


def scaled(x: jax.Array, offset: float, scale: jax.Array, n_members: int) -> jax.Array:
    """[b, ...] -> the samples for each member, less the offset and times the scale: [b, m, d]."""
    x = x.reshape(x.shape[0], 1, -1)
    z = (x - offset if offset else x) * scale
    return jnp.broadcast_to(z, (len(z), n_members, z.shape[2]))


def products(z: jax.Array, kernels: jax.Array) -> jax.Array:
    """A linear layer of each member: [b, m, d], [m, d, e] -> [b, m, e]."""
    # One product a member: XLA has no fast product in batches on a CPU.
    side_by_side = [z[:, j] @ kernels[j] for j in range(len(kernels))]
    return jnp.concatenate(side_by_side, axis=1).reshape(len(z), len(kernels), -1)
