"""Shared by the deep subspace methods: network, objective, graph and clusters.

Samples of one cluster lie in one subspace of the code, where each is a combination of the others. The coefficients
of these combinations are parameters, trained together with the autoencoders; they form the graph to be cut.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import cluster, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Optimizer, Stage, field, restarts
from jaxdc.methods.view_autoencoders import Network, ViewAutoencoders

# [n, n] arrays at the peak: coefficients and Adam's two moments, and the temporaries of a step or the cut.
SQUARES = 9
# LAPACK counts its workspace for n eigenvectors, 1 + 6 n + 2 n^2 numbers, in 32 bits.
MOST_ON_A_CPU = 32_766


class ExpressiveNetwork(Network):
    """Autoencoders for all views, and one shared matrix of coefficients."""

    def __init__(self, method: Any, spec: Any, rngs: nnx.Rngs):
        super().__init__(method, spec, rngs)
        self.coefficients = nnx.Param(jnp.zeros((spec.n_samples, spec.n_samples)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfExpression(Method):
    """Self-expression: the code of each sample is a combination of the other codes.

    Spectral clustering only clusters the training samples. A new sample gets the cluster of the training sample
    with the nearest code, so all codes are kept.

    How strongly the coefficients are held back decides what the graph shows: too little, and every sample is made
    of all the others; too much, and of none. The weight that does it depends on the scale of the codes, on their
    number and on the widths of the views. So by default not the weight is given but the degrees of freedom of the
    expression, as many as there are clusters. For this the codes of each view are centred and scaled, so that a
    view has the share of the energy that it has of the columns, and at each step ``cluster.ridge_weight`` gives
    the weight of the squared norm. No label is needed, and no scale, size or width matters.

    Attributes:
      hidden: widths of the encoders' hidden layers, for vectors; the decoders mirror them.
      channels: channels of the encoders' convolutions, for images; the decoders mirror them.
      latent: width of the code of each view.
      shapes: shapes of the views, in order, such as 16x15, 32x32x3 or vector; empty if all are vectors, or if the
        samples are images.
      expression: weight of the self-expression loss.
      norm: norm of the coefficients: l2, squared, or l1, which uses few other samples.
      norm_weight: weight of that norm, and then codes are taken as they are; None gives the expression as many
        degrees of freedom as there are clusters.
      n_neighbors: neighbours of each sample in the graph, those with the most similar coefficients; None makes the
        graph by keep, subspace and power.
      keep: share of the sum of a sample's coefficients that its largest ones, which are kept, make up.
      subspace: dimension of a cluster's subspace: the rank of the graph is reduced to n_clusters times this, plus
        one; None keeps its rank.
      power: exponent applied to the affinity.
      n_init: k-means runs in spectral clustering.
    """

    hidden: tuple[int, ...] = field((256, 128), at_least=1)
    channels: tuple[int, ...] = field((16, 32), at_least=1)
    latent: int = field(20, at_least=1)
    shapes: tuple[str, ...] = ()
    expression: float = field(1.0, above=0)
    norm: Literal["l1", "l2"] = "l2"
    norm_weight: float | None = field(None, at_least=0)
    n_neighbors: int | None = field(10, at_least=1)
    keep: float = field(1.0, above=0, at_most=1)
    subspace: int | None = field(12, at_least=1)
    power: float = field(4.0, above=0)
    n_init: int = restarts(20)

    full_batch: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def __post_init__(self):
        super().__post_init__()
        if self.norm == "l1" and self.norm_weight is None:
            raise InputError("norm l1 needs a norm_weight, such as 0.36: only that of l2 can be left open")

    def init(self, key, spec):
        if self.n_neighbors is not None and self.n_neighbors >= spec.n_samples:
            raise InputError(f"n_neighbors is {self.n_neighbors}, but there are only {spec.n_samples} samples")
        if spec.n_samples > MOST_ON_A_CPU and jax.default_backend() == "cpu":
            raise InputError(
                f"{spec.n_samples:,} samples are too many for {type(self).__name__} on a CPU, whatever its "
                f"memory: LAPACK decomposes the graph of up to {MOST_ON_A_CPU:,} samples"
            )
        model = ExpressiveNetwork(self, spec, nnx.Rngs(key))
        width = len(model.encoder.parts) * self.latent
        aux = {"features": jnp.zeros((spec.n_samples, width)), "labels": jnp.zeros(spec.n_samples, jnp.int32)}
        return model, aux

    def terms(self, model: Any, x: jax.Array) -> tuple[list[jax.Array], jax.Array, dict[str, jax.Array]]:
        """Codes z [n, latent] of each view, the objective shared by these methods, and its terms.

        The decoders get C z instead of z. The reconstruction is a mean over values, the other terms over samples.
        """
        views = model.encoder.apart(x)
        codes = model.encoder.codes(views)
        coefficients = off_diagonal(model.coefficients[...])
        means, scales = self._frames(codes, model.encoder.widths)
        centred = [z - mean for z, mean in zip(codes, means, strict=True)]
        residuals = [losses.self_expression(z, coefficients) for z in centred]
        reconstruction = model.decoder.error(views, [z - r for z, r in zip(codes, residuals, strict=True)])
        n = coefficients.shape[0]
        left = [scale**2 * jnp.sum(r**2) for r, scale in zip(residuals, scales, strict=True)]
        expression = sum(left, start=jnp.zeros(())) / n
        size = jnp.sum(coefficients**2 if self.norm == "l2" else jnp.abs(coefficients)) / n
        weight = self.norm_weight
        if weight is None:
            scaled = [scale * z for z, scale in zip(centred, scales, strict=True)]
            weight = self.expression * self._ridge(jnp.concatenate(scaled, axis=1))
        total = reconstruction + self.expression * expression + weight * size
        return codes, total, {"reconstruction": reconstruction, "expression": expression, "norm": size}

    def _frames(self, codes, widths):
        """The mean [1, latent] and the scale of each view's codes, in which they are expressed."""
        if self.norm_weight is not None:
            return [jnp.zeros((1, z.shape[1])) for z in codes], [jnp.ones(()) for _ in codes]
        means = [jnp.mean(z, axis=0, keepdims=True) for z in codes]
        energies = [jnp.mean(jnp.sum((z - mean) ** 2, axis=1)) for z, mean in zip(codes, means, strict=True)]
        shares = [width / sum(widths) for width in widths]
        least = jnp.finfo(codes[0].dtype).tiny
        scales = [jnp.sqrt(share / jnp.maximum(e, least)) for share, e in zip(shares, energies, strict=True)]
        return means, scales

    def _ridge(self, z):
        """The weight of the squared norm that leaves a degree of freedom to each cluster, for codes z [n, d]."""
        z = jax.lax.stop_gradient(z)
        squares = jnp.linalg.eigvalsh(jnp.matmul(z.T, z, precision=jax.lax.Precision.HIGHEST))
        # Half of the directions at most, for with all of them nothing would be held back.
        return cluster.ridge_weight(squares, min(self.n_clusters, 0.5 * min(z.shape[0] - 1, z.shape[1])))

    def refresh(self, model, aux, features, key):
        coefficients = off_diagonal(model.coefficients[...])
        affinity = self._affinity(coefficients)
        labels = cluster.spectral_clustering(key, affinity, self.n_clusters, n_init=self.n_init).labels
        return model, {"features": features, "labels": labels}

    def _affinity(self, coefficients):
        if self.n_neighbors is not None:
            return cluster.coefficient_neighbors(coefficients, self.n_neighbors)
        rank = None if self.subspace is None else min(self.subspace * self.n_clusters + 1, len(coefficients))
        return cluster.subspace_affinity(coefficients, keep=self.keep, rank=rank, power=self.power)

    def assign(self, model, aux, features):
        def label(row):
            # Differences, not products: a training sample is at distance 0 from itself.
            return aux["labels"][jnp.argmin(jnp.sum((aux["features"] - row[None]) ** 2, axis=1))]

        return jax.nn.one_hot(jax.lax.map(label, features, batch_size=16), self.n_clusters, dtype=jnp.float32)

    def device_bytes(self, n_samples):
        return SQUARES * 4 * n_samples**2

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(ViewAutoencoders)}
        # With a constant rate, coefficients tremble around 0, where l1 should leave them.
        adam = Optimizer(learning_rate=1e-3, encoder_rate=0.1, cosine=True)
        own = Stage(method=self, steps=300, batch_size=spec.n_samples, optimizer=adam)
        return (*ViewAutoencoders(**shared).stages(recipe, spec), own)


def off_diagonal(coefficients: jax.Array) -> jax.Array:
    """The coefficients without the diagonal, by which a sample would express itself."""
    return jnp.where(jnp.eye(coefficients.shape[0], dtype=bool), 0.0, coefficients)
