"""What the deep subspace methods share: a network, an objective, a graph and its clusters.

Samples of one cluster lie in one subspace of the code, where each is a combination of the others. The coefficients
of these combinations are parameters, learnt together with the autoencoders; they are the graph that is cut.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import cluster, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Optimizer, Stage, field
from jaxdc.methods.view_autoencoders import Network, ViewAutoencoders

# [n, n] arrays at the peak: coefficients and Adam's two moments, and what a step or the cut makes beside them.
SQUARES = 9
# LAPACK counts its workspace for n eigenvectors, 1 + 6 n + 2 n^2 numbers, in 32 bits.
MOST_ON_A_CPU = 32_766


class ExpressiveNetwork(Network):
    """Autoencoders of all views, and one matrix of coefficients for all of them."""

    def __init__(self, method: Any, spec: Any, rngs: nnx.Rngs):
        super().__init__(method, spec, rngs)
        self.coefficients = nnx.Param(jnp.zeros((spec.n_samples, spec.n_samples)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfExpression(Method):
    """Codes of all samples that make up each other.

    The clusters are those of the samples of the training: spectral clustering knows no others. A new sample gets
    the cluster of the one among them whose code is nearest, so all codes are kept.

    Attributes:
      hidden: widths of the encoders' hidden layers, of vectors; the decoders mirror them.
      channels: of the encoders' convolutions, of pictures; the decoders mirror them.
      latent: width of the code of each view.
      shapes: of the views, in their order: such as 16x15, 32x32x3, or vector; empty where all are vectors, or
        where the samples are images.
      expression: weight of the self-expression.
      norm: of the coefficients: l1, by which a sample is made of a few others, or l2, squared.
      norm_weight: its weight.
      keep: of each sample's coefficients the largest are kept that make up this share of their sum.
      subspace: dimension of a cluster's subspace: the graph is brought to a rank of one more than n_clusters times
        that; None leaves its rank alone.
      power: to which the affinity is raised.
      n_init: runs of the k-means within spectral clustering.
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
    n_init: int = field(20, at_least=1)

    full_batch: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def init(self, key, spec):
        if spec.n_samples > MOST_ON_A_CPU and jax.default_backend() == "cpu":
            raise InputError(
                f"{spec.n_samples:,} samples are too many for {type(self).__name__} on a CPU, whatever its "
                f"memory: their graph is decomposed by LAPACK, which takes up to {MOST_ON_A_CPU:,}"
            )
        model = ExpressiveNetwork(self, spec, nnx.Rngs(key))
        width = len(model.encoder.parts) * self.latent
        aux = {"features": jnp.zeros((spec.n_samples, width)), "labels": jnp.zeros(spec.n_samples, jnp.int32)}
        return model, aux

    def terms(self, model: Any, x: jax.Array) -> tuple[list[jax.Array], jax.Array, dict[str, jax.Array]]:
        """Codes z [n, latent] of each view, the objective that all these methods have, and its terms.

        The decoders see C z in place of z. The reconstruction is a mean over values, the others over samples.
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
            # Differences, not products: a sample of the training is at distance 0 from itself.
            return aux["labels"][jnp.argmin(jnp.sum((aux["features"] - row[None]) ** 2, axis=1))]

        return jax.nn.one_hot(jax.lax.map(label, features, batch_size=16), self.n_clusters, dtype=jnp.float32)

    def device_bytes(self, n_samples):
        return SQUARES * 4 * n_samples**2

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(ViewAutoencoders)}
        # A rate that does not fall leaves coefficients trembling about 0, which l1 would have there.
        adam = Optimizer(learning_rate=1e-3, encoder_rate=0.1, cosine=True)
        own = Stage(method=self, steps=300, batch_size=spec.n_samples, optimizer=adam)
        return (*ViewAutoencoders(**shared).stages(recipe, spec), own)


def off_diagonal(coefficients: jax.Array) -> jax.Array:
    """The coefficients without those by which a sample would explain itself."""
    return jnp.where(jnp.eye(coefficients.shape[0], dtype=bool), 0.0, coefficients)
