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

    Attributes:
      hidden: widths of the encoders' hidden layers, for vectors; the decoders mirror them.
      channels: channels of the encoders' convolutions, for images; the decoders mirror them.
      latent: width of the code of each view.
      shapes: shapes of the views, in order, such as 16x15, 32x32x3 or vector; empty if all are vectors, or if the
        samples are images.
      expression: weight of the self-expression loss.
      norm: norm of the coefficients: l1, which uses few other samples, or l2, squared.
      norm_weight: weight of that norm.
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
    expression: float = field(0.01, above=0)
    norm: Literal["l1", "l2"] = "l1"
    norm_weight: float = field(0.36, at_least=0)
    keep: float = field(1.0, above=0, at_most=1)
    subspace: int | None = field(12, at_least=1)
    power: float = field(4.0, above=0)
    n_init: int = restarts(20)

    full_batch: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def init(self, key, spec):
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
        residuals = [losses.self_expression(z, coefficients) for z in codes]
        reconstruction = model.decoder.error(views, [z - r for z, r in zip(codes, residuals, strict=True)])
        n = coefficients.shape[0]
        expression = sum((jnp.sum(r**2) for r in residuals), start=jnp.zeros(())) / n
        size = jnp.sum(coefficients**2 if self.norm == "l2" else jnp.abs(coefficients)) / n
        total = reconstruction + self.expression * expression + self.norm_weight * size
        return codes, total, {"reconstruction": reconstruction, "expression": expression, "norm": size}

    def refresh(self, model, aux, features, key):
        coefficients = off_diagonal(model.coefficients[...])
        rank = None if self.subspace is None else min(self.subspace * self.n_clusters + 1, len(coefficients))
        affinity = cluster.subspace_affinity(coefficients, keep=self.keep, rank=rank, power=self.power)
        labels = cluster.spectral_clustering(key, affinity, self.n_clusters, n_init=self.n_init).labels
        return model, {"features": features, "labels": labels}

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
