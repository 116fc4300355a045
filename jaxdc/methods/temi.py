"""TEMI: clustering heads on fixed features (Adaloglou et al., BMVC 2023, arXiv 2303.17896).

What a foundation model has embedded (``--data embeddings.npy``) is clustered by an ensemble of heads that distil
themselves: student and teacher, an average of the student, see a sample and one of its nearest neighbours, and
learn to say of the one what the other says of the other. Pairs on which the teachers disagree weigh little. The
head with the lowest loss is kept.

The recipe ``paper`` has 50 heads, 200 epochs of batches of 512, and Adam with a rate of 1e-4. The example of the
released code has 16 heads, 100 epochs of batches of 1,024 and AdamW, its rate 1e-4 x batch / 256 after 20 epochs
of warm-up. ``fast`` has fewer and smaller heads, and a teacher that follows sooner: minutes on a CPU.

Differs from the paper in: features are brought to one length, in which neighbours are also near; weights do not
decay; the teacher moves before the student does, not after; the losses of the heads are compared over the epochs
since the last look, not over the last epoch. Images are taken as vectors of their pixels: embed them first.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import cluster, losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Optimizer, Stage, fast_steps, field, register
from jaxdc.methods.parts import heads, two_views

PAPER: dict[str, Any] = {"n_heads": 50, "hidden": (512, 256), "momentum": 0.996}
FAST: dict[str, Any] = {"n_heads": 10, "hidden": (128,), "momentum": 0.98}


class _Heads(nnx.Module):
    """Per head: layers with GELU between them, a code of length 1, its products with prototypes of any length."""

    def __init__(self, n_heads: int, sizes: tuple[int, ...], n_clusters: int, rngs: nnx.Rngs):
        def initial(*shape):
            return nnx.Param(0.02 * jax.random.truncated_normal(rngs.params(), -2, 2, (n_heads, *shape)))

        self.kernels = nnx.List(initial(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes))
        self.biases = nnx.List(nnx.Param(jnp.zeros((n_heads, 1, n_out))) for n_out in sizes[1:])
        self.directions = initial(n_clusters, sizes[-1])
        self.scales = nnx.Param(jnp.ones((n_heads, 1, n_clusters)))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Features [b, d] -> products [h, b, k]."""
        z = x[None]
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            z = (nnx.gelu(z) if i else z) @ kernel[...] + bias[...]
        prototypes = two_views.unit(self.directions[...])
        return two_views.unit(z) @ jnp.swapaxes(prototypes, 1, 2) * self.scales[...]


class _Network(nnx.Module):
    def __init__(self, method, n_features, rngs):
        self.encoder = two_views.Vectors(n_features)
        self.heads = _Heads(method.n_heads, (n_features, *method.hidden), method.n_clusters, rngs)


@register("temi", "embedded")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class TEMI(Method):
    """Self-distilled heads on features that are embedded already.

    Attributes:
      n_heads: heads that are trained side by side and vote on the weight of a pair; None is the paper's 50, and 10
        in the recipe fast.
      hidden: widths of a head's layers, the last that of the code that prototypes are compared with; None is the
        paper's (512, 256), and (128,) in the recipe fast.
      n_neighbors: nearest others of each sample, of which a step takes one; 25 on ImageNet.
      beta: 1 is pointwise mutual information; below 1, heads take more of the clusters.
      temperature: of student and teacher.
      momentum: of the teacher, an average of the student; None is the paper's 0.996, and 0.98 in the recipe fast.
      marginal_momentum: of the teacher's shares of the clusters.
      refresh_epochs: epochs between two looks at the clusters' health and at the heads' losses.
    """

    n_heads: int | None = field(None, at_least=1)
    hidden: tuple[int, ...] | None = field(None, at_least=1)
    n_neighbors: int = field(50, at_least=1)
    beta: float = field(0.6, above=0, at_most=1)
    temperature: float = field(0.1, above=0)
    momentum: float | None = field(None, at_least=0, below=1)
    marginal_momentum: float = field(0.9, at_least=0, below=1)
    refresh_epochs: float = field(5.0, above=0)

    refresh_last: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ()

    def init(self, key, spec):
        if self.n_neighbors >= spec.n_samples:
            raise InputError(
                f"n_neighbors is {self.n_neighbors}, but each of {spec.n_samples} samples has "
                f"{spec.n_samples - 1} others; use {spec.n_samples - 1} or less"
            )
        model = _Network(self.filled(PAPER), math.prod(spec.shape), nnx.Rngs(key))
        n_heads = len(model.heads.scales[...])
        return model, {
            "teacher": jax.tree.map(jnp.copy, nnx.state(model.heads)),
            "marginal": jnp.full((n_heads, self.n_clusters), 1 / self.n_clusters, jnp.float32),
            "neighbors": jnp.zeros((spec.n_samples, self.n_neighbors), jnp.int32),
            "mined": jnp.zeros((), bool),
            **heads.start(n_heads),
        }

    def filled(self, settings: dict[str, Any]) -> TEMI:
        """The same, with these settings where it leaves one open."""
        return dataclasses.replace(self, **{k: v for k, v in settings.items() if getattr(self, k) is None})

    def draw(self, aux, key, n_samples):
        order_key, column_key = jax.random.split(key)
        order = jax.random.permutation(order_key, n_samples)
        columns = jax.random.randint(column_key, (n_samples,), 0, self.n_neighbors)
        return jnp.stack([order, aux["neighbors"][order, columns]], axis=1)

    def loss(self, model, aux, batch, key):
        del key
        pairs = [model.encoder(batch[name]) for name in ("x", "neighbor")]
        momentum = PAPER["momentum"] if self.momentum is None else self.momentum
        average = nn.ema(aux["teacher"], nnx.state(model.heads), momentum)
        teacher = nnx.merge(nnx.graphdef(model.heads), average, copy=True)
        s1, s2 = (model.heads(x) / self.temperature for x in pairs)
        t1, t2 = (jax.lax.stop_gradient(teacher(x)) / self.temperature for x in pairs)
        # A pair weighs as much in every head: the mean probability, over the heads, that both are of one cluster.
        weights = jnp.mean(jnp.exp(-jax.vmap(losses.neighbor_consistency)(t1, t2)), axis=0)
        marginal = jax.vmap(self._marginal)(aux["marginal"], t1, t2)
        per_head = jnp.mean(
            jax.vmap(self._temi, in_axes=(0, 0, 0, 0, 0, None))(s1, s2, t1, t2, marginal, weights), axis=1
        )
        loss = jnp.mean(per_head)
        new = heads.count({**aux, "teacher": average, "marginal": marginal}, per_head)
        return loss, (new, {"agreement": jnp.mean(weights)})

    def _temi(self, s1, s2, t1, t2, marginal, weights):
        return losses.temi(s1, s2, t1, t2, marginal, weights=weights, beta=self.beta)

    def _marginal(self, marginal, t1, t2):
        probs = jax.nn.softmax(two_views.side_by_side(t1, t2), axis=1)
        return losses.update_marginal(marginal, probs, momentum=self.marginal_momentum)

    def embed(self, model, aux, batch):
        return model.encoder(batch["x"])

    def refresh(self, model, aux, features, key):
        if not aux["mined"]:
            # The first is the sample itself.
            neighbors = cluster.nearest_neighbors(features, self.n_neighbors + 1).indices[:, 1:]
            aux = {**aux, "neighbors": neighbors, "mined": jnp.ones((), bool)}
        return model, heads.choose(aux)

    def assign(self, model, aux, features):
        best = jax.tree.map(lambda leaf: leaf[aux["head"]][None], aux["teacher"])
        teacher = nnx.merge(nnx.graphdef(model.heads), best, copy=True)
        return jax.nn.softmax(teacher(features)[0] / self.temperature, axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":
            adam = Optimizer(name="adam", learning_rate=1e-4)
            return (Stage(method=self.filled(PAPER), epochs=200, batch_size=512, optimizer=adam),)
        adam, batch = Optimizer(name="adam", learning_rate=1e-3), two_views.batch_for(spec, 256)
        steps = fast_steps(spec, epochs=25, at_least=1000, batch_size=batch)
        return (Stage(method=self.filled(FAST), steps=steps, batch_size=batch, optimizer=adam),)
