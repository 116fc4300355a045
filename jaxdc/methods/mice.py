"""MiCE: Mixture of Contrastive Experts (Tsai, Li, Zhu, ICLR 2021, arXiv 2105.01899).

A mixture of k experts, each a MoCo of its own on one shared encoder. A gate, which compares an image with fixed
prototypes as far apart as can be, gives the prior of its cluster; how well an expert tells the image from those in
its queue gives the likelihood, and both are trained together by EM (``losses.contrastive_experts``). The cluster
of an image is the expert of the largest posterior.

An expert's prototype is trained by gradient, and set at every refresh to the mean direction of the embeddings, by
the momentum encoder, of the views whose posterior is largest there; an expert without any keeps its own.

Differs from the paper in: the keys and the queue are those of ``moco.py``: averaged statistics in place of
shuffled batches, and a queue that starts empty. The posterior of an image compares with the queue as it is after
training. The prototypes start as random directions, where the released code leaves memory as it was.
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import augment, losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import handwriting, momentum, two_views

ASSIGN_ROWS = 128  # samples that are compared with the queue at a time


def separated(k: int, d: int) -> np.ndarray:
    """K unit vectors [k, d], each two with the product -1 / (k - 1), the least that all can have; d >= k - 1."""
    # The corners of a simplex: the unit vectors of k axes, less their mean, in a basis of what remains.
    centred = np.eye(k) - 1 / k
    basis = np.linalg.svd(centred)[0][:, : k - 1]
    return np.pad(math.sqrt(k / (k - 1)) * centred @ basis, ((0, 0), (0, d - k + 1))).astype(np.float32)


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        self.encoder = method.backbone.make(method.side(spec), spec.shape[2], rngs)
        n, k, d, dtype = self.encoder.n_features, method.n_clusters, method.projection, method.backbone.dtype
        self.experts = nn.ClusterHeads(n, k, d, std=1 / math.sqrt(n), dtype=dtype, rngs=rngs)
        self.gate = nn.ProjectionHead(n, None, d, dtype=dtype, rngs=rngs)
        self.prototypes = nnx.Param(two_views.unit(jax.random.normal(rngs.params(), (k, d))))

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> the embedding by each expert, [b, k, d], of length 1."""
        return self.embeddings(self.encoder(x, train=train))

    def embeddings(self, features: jax.Array) -> jax.Array:
        """[b, n] -> [b, k, d], of length 1."""
        return jnp.swapaxes(two_views.unit(self.experts(features)), 0, 1)


@register("mice", "contrastive")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class MiCE(handwriting.Handwriting):
    """Mixture of Contrastive Experts: a MoCo for each cluster, and a gate.

    Attributes:
      projection: width of the embeddings of experts and gate, d; at least n_clusters - 1.
      temperature: softmax temperature of the experts.
      gate_temperature: softmax temperature of the gate.
      momentum: share of the momentum encoder kept in each step; None uses the recipe's value (paper 0.999; fast,
        with views up to 64 pixels, 0.99), or 0.999 without a recipe.
      queue_size: number of samples in the queue, each with a key by every expert; None uses the recipe's value
        (paper 16,384, fast 4,096), limited by the number of samples.
      refresh_epochs: epochs between two settings of the prototypes.
    """

    augmentation: augment.Weak = augment.Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0)
    projection: int = field(128, at_least=1)
    temperature: float = field(1.0, above=0)
    gate_temperature: float = field(1.0, above=0)
    momentum: float | None = field(None, at_least=0, below=1)
    queue_size: int | None = field(None, at_least=1)
    refresh_epochs: float = field(1.0, above=0)

    def __post_init__(self):
        super().__post_init__()
        if self.projection < self.n_clusters - 1:
            raise InputError(
                f"{self.n_clusters} prototypes of the gate can't be equally far apart in {self.projection} "
                f"dimensions: projection must be at least {self.n_clusters - 1}"
            )

    def init(self, key, spec):
        model = _Network(self, spec, nnx.Rngs(key))
        keys = (self.n_clusters, self.projection)
        aux = momentum.start(model, queue_size=self._queue_size(spec), width=keys)
        return model, {**aux, "n_filled": jnp.zeros((), jnp.int32), "sums": jnp.zeros(keys)}

    def _queue_size(self, spec):
        return self.queue_size or min(4096, spec.n_samples)

    def check_batch_size(self, batch_size, spec):
        momentum.check_queue(self._queue_size(spec), batch_size)

    def loss(self, model, aux, batch, key):
        x = batch["x"]
        query_view, key_view, gate_view = (self.perturbed(k, x) for k in jax.random.split(key, 3))
        views, share = (query_view, key_view), momentum.or_paper(self.momentum)
        queries, keys, new = momentum.step(model, aux, views, share)
        gate = self._gate(model, model.encoder(gate_view, train=True))
        loss, log_posterior = self._mixture(model, aux, gate, queries, keys)
        posterior = jnp.exp(jax.lax.stop_gradient(log_posterior))
        own = jax.nn.one_hot(jnp.argmax(posterior, axis=1), self.n_clusters)
        sums = aux["sums"] + jnp.einsum("bk,bkd->kd", own, keys, precision=jax.lax.Precision.HIGHEST)
        n_filled = jnp.minimum(aux["n_filled"] + len(x), len(aux["queue"]))
        metrics = {"certainty": jnp.mean(jnp.max(posterior, axis=1))}
        return jnp.mean(loss), ({**new, "sums": sums, "n_filled": n_filled}, metrics)

    def _gate(self, model, features):
        """Logits of the prior [b, k]."""
        products = two_views.unit(model.gate(features)) @ separated(self.n_clusters, self.projection).T
        return products / self.gate_temperature

    def _mixture(self, model, aux, gate, queries, keys):
        return losses.contrastive_experts(
            gate,
            queries,
            keys,
            model.prototypes[...],
            aux["queue"],
            temperature=self.temperature,
            n_filled=aux["n_filled"],
        )

    def chance(self, batch_size, spec):
        return {"loss": math.log(1 + self._queue_size(spec))}

    def embed(self, model, aux, batch):
        """Features of the network, and then those of its momentum copy: [b, 2 n]."""
        x = self.plain(batch["x"])
        return jnp.concatenate([model.encoder(x), momentum.network(model, aux).encoder(x)], axis=1)

    def refresh(self, model, aux, features, key):
        has_samples = jnp.any(aux["sums"] != 0, axis=1, keepdims=True)
        if has_samples.any():
            means = jnp.where(has_samples, two_views.unit(aux["sums"]), two_views.unit(model.prototypes[...]))
            model.prototypes[...] = means
        return model, {**aux, "sums": jnp.zeros_like(aux["sums"])}

    def assign(self, model, aux, features):
        teacher = momentum.network(model, aux)

        def posterior(row):
            own, averaged = jnp.split(row[None], 2, axis=1)
            queries, keys = model.embeddings(own), teacher.embeddings(averaged)
            return jnp.exp(self._mixture(model, aux, self._gate(model, own), queries, keys)[1])[0]

        return jax.lax.map(posterior, features, batch_size=ASSIGN_ROWS)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(name="sgd", learning_rate=1.0, weight_decay=1e-4, warmup_epochs=10)
        if recipe == "paper":
            size = self.queue_size or min(16_384, spec.n_samples)
            method = dataclasses.replace(self, queue_size=size, backbone=self.backbone.or_else(depth=34))
            sgd = dataclasses.replace(sgd, decay_at=(0.48, 0.64, 0.8))
            return (Stage(method=method, epochs=1000, batch_size=256, optimizer=sgd),)
        method = self
        if self.momentum is None and two_views.views_are_small(self, spec):
            method = dataclasses.replace(self, momentum=momentum.SMALL)
        sgd = dataclasses.replace(sgd, batch_scaling="linear", cosine=True)
        return method.fast(spec, epochs=200, optimizer=sgd)
