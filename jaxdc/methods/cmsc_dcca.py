"""CMSC-DCCA: Cross-Modal Subspace Clustering via Deep CCA (Gao, Lian, Wang, Sun, AAAI 2020, 34:3938-3945).

Samples of one cluster, seen in two modalities, lie in one subspace of either code, where each is a combination of
the others. One matrix of coefficients for both is learnt together with two autoencoders, which reconstruct from what
it makes of the codes, while deep CCA draws the codes of a sample together. The coefficients are the graph.

Every step takes all samples, and its memory grows with their square.

Differs from the paper in: (todo)
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import cluster, losses
from jaxdc.methods.base import Method, check_choices, check_range
from jaxdc.methods.view_autoencoders import Network, check_n_views, pretraining_of
from jaxdc.stages import Stage


class _Network(Network):
    def __init__(self, method, spec, rngs):
        super().__init__(method, spec, rngs)
        self.coefficients = nnx.Param(jnp.zeros((spec.n_samples, spec.n_samples)))


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class CMSCDCCA(Method):
    """Cross-Modal Subspace Clustering via Deep CCA, of samples of two views.

    Attributes:
      hidden: widths of the encoders' hidden layers; the decoders mirror them.
      channels: of the convolutions, for views that are pictures.
      latent: width of the code of each view.
      shapes: of the two views: such as 16x15, 32x32x3, or vector; empty where both are vectors.
      expression: weight of the self-expression.
      correlation: weight of the correlation between the two codes.
      norm: of the coefficients: l2, squared, or l1.
      norm_weight: its weight.
      keep: of each sample's coefficients the largest are kept that make up this share of their sum.
      subspace: dimension of a cluster's subspace, for the low rank to which the graph is brought; None: it is not.
      power: to which the affinity is raised.
      n_init: runs of the k-means within spectral clustering.
    """

    hidden: tuple[int, ...] = (256, 128)
    channels: tuple[int, ...] = (16, 32)
    latent: int = 20
    shapes: tuple[str, ...] = ()
    expression: float = 1.0
    correlation: float = 0.1
    norm: Literal["l2", "l1"] = "l2"
    norm_weight: float = 1.0
    keep: float = 1.0
    subspace: int | None = None
    power: float = 1.0
    n_init: int = 20

    full_batch: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, "norm")
        check_range(self, "hidden", "channels", "latent", "expression", "subspace", "power", "n_init")
        check_range(self, "correlation", "norm_weight", above=-1e-9)
        check_range(self, "keep", below=1 + 1e-9)

    def init(self, key, spec):
        check_n_views(spec, 2, "CMSC-DCCA")
        width = 2 * self.latent
        aux = {"features": jnp.zeros((spec.n_samples, width)), "labels": jnp.zeros(spec.n_samples, jnp.int32)}
        return _Network(self, spec, nnx.Rngs(key)), aux

    def loss(self, model, aux, batch, key):
        views = model.encoder.apart(batch["x"])
        codes = model.encoder.codes(views)
        coefficients = _off_diagonal(model.coefficients[...])
        residuals = [losses.self_expression(z, coefficients) for z in codes]
        reconstruction = model.decoder.error(views, [z - r for z, r in zip(codes, residuals, strict=True)])
        n = coefficients.shape[0]
        expression = (jnp.sum(residuals[0] ** 2) + jnp.sum(residuals[1] ** 2)) / n
        correlation = losses.canonical_correlation(*codes, regularization=1e-3)
        size = jnp.sum(coefficients**2 if self.norm == "l2" else jnp.abs(coefficients)) / n
        weighted = self.expression * expression + self.correlation * correlation + self.norm_weight * size
        terms = {"reconstruction": reconstruction, "expression": expression, "correlation": correlation, "norm": size}
        return reconstruction + weighted, (aux, terms)

    def refresh(self, model, aux, features, key):
        coefficients = _off_diagonal(model.coefficients[...])
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
        return 9 * 4 * n_samples**2

    def stages(self, recipe, spec):
        return (*pretraining_of(self, recipe, spec), Stage(method=self, steps=300, batch_size=spec.n_samples))


def _off_diagonal(coefficients):
    """The coefficients without those by which a sample would explain itself."""
    return jnp.where(jnp.eye(coefficients.shape[0], dtype=bool), 0.0, coefficients)
