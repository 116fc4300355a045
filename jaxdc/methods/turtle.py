"""TURTLE: the labelling that linear classifiers learn best (Gadetsky, Jiang, Brbic, ICML 2024, arXiv 2406.07236).

What one or several foundation models have embedded is labelled by a softmax in each space, and the label is the
mean of them, equation (9). At every step linear classifiers, one a space, take a few steps towards the labels of a
batch (the inner problem); then the labels move to where these classifiers err less, while all clusters stay in
use: equation (12). Its gradient takes the classifiers for given, equation (13). So a labelling is found whose
classes a wide margin parts in every space, as it parts those that people know.

Spaces are the views of the data (``--data spaces.npz --views clip,dino``); one matrix is one space. The recipe
``paper`` has the 6,000 steps of up to 10,000 samples of the released code, with new classifiers at every step.
``fast`` takes fewer and smaller batches, and its classifiers go on from where they were.

Differs from the paper in: features are brought to unit mean square, and the columns of several spaces to mean 0
and variance 1, as those of views always are; batches are those of a shuffled epoch, not each drawn anew.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxdc import losses
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Method, Optimizer, Stage, fast_steps, field, register
from jaxdc.methods.parts import two_views

Layers = list[dict[str, jax.Array]]


def _layers(key: jax.Array, widths: Sequence[int], n_clusters: int) -> Layers:
    """A linear layer for each space, with PyTorch's initial values: kernel [k, d], bias [k]."""
    layers = []
    for width, pair in zip(widths, jax.random.split(key, (len(widths), 2)), strict=True):
        bound = 1 / math.sqrt(width)
        kernel = jax.random.uniform(pair[0], (n_clusters, width), minval=-bound, maxval=bound)
        bias = jax.random.uniform(pair[1], (n_clusters,), minval=-bound, maxval=bound)
        layers.append({"kernel": kernel, "bias": bias})
    return layers


def _logits(layers: Layers, spaces: Sequence[jax.Array]) -> list[jax.Array]:
    """[b, d] of each space -> [b, k] of each."""
    return [z @ one["kernel"].T + one["bias"][None] for one, z in zip(layers, spaces, strict=True)]


class _Spaces(nnx.Module):
    """The encoder: features of all spaces, side by side, in units of their rms."""

    def __init__(self, spec: DataSpec):
        self.scale = nnx.Variable(jnp.float32(1.0 / spec.rms if spec.rms > 0 else 1.0))
        self.widths = spec.widths or (math.prod(spec.shape),)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, ...] -> [b, d]."""
        return x.reshape(x.shape[0], -1) * self.scale[...]

    def apart(self, features: jax.Array) -> list[jax.Array]:
        """[b, d] -> [b, width] of each space."""
        return jnp.split(features, list(itertools.accumulate(self.widths))[:-1], axis=1)


class _Network(nnx.Module):
    """The task encoder: a linear layer for each space, normalised in weight, and a softmax."""

    def __init__(self, spec: DataSpec, n_clusters: int, key: jax.Array):
        self.encoder = _Spaces(spec)
        layers = _layers(key, self.encoder.widths, n_clusters)
        self.directions = nnx.List(nnx.Param(one["kernel"]) for one in layers)
        self.scales = nnx.List(nnx.Param(jnp.linalg.norm(one["kernel"], axis=1)) for one in layers)
        self.biases = nnx.List(nnx.Param(one["bias"]) for one in layers)

    def probabilities(self, spaces: Sequence[jax.Array]) -> list[jax.Array]:
        """[b, d] of each space -> [b, k] by each."""
        parts = zip(self.directions, self.scales, self.biases, strict=True)
        layers = [{"kernel": two_views.unit(v[...]) * g[...][:, None], "bias": b[...]} for v, g, b in parts]
        return [jax.nn.softmax(logits, axis=1) for logits in _logits(layers, spaces)]


@register("turtle", "embedded")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class TURTLE(Method):
    """The labelling of one or several embeddings that linear classifiers learn best.

    Attributes:
      entropy_weight: weight of the entropy of the clusters (the paper's gamma); it favours even classes, so lower
        it for uneven ones.
      inner_steps: Adam steps of the classifiers per step of the labels.
      inner_rate: their learning rate.
      warm_start: keep the classifiers from step to step instead of starting new ones; None: yes in the recipe
        fast, no in paper.
    """

    entropy_weight: float = field(10.0, at_least=0)
    inner_steps: int = field(10, at_least=1)
    inner_rate: float = field(1e-3, above=0)
    warm_start: bool | None = None

    inherits: ClassVar[tuple[str, ...]] = ()

    def init(self, key, spec):
        task_key, key = jax.random.split(key)
        model = _Network(spec, self.n_clusters, task_key)
        return model, self._unlearnt(key, model.encoder.widths) if self.warm_start else {}

    def loss(self, model, aux, batch, key):
        spaces = model.encoder.apart(model.encoder(batch["x"]))
        by_space = model.probabilities(spaces)
        labels = _mean(by_space)
        start = aux if self.warm_start else self._unlearnt(key, model.encoder.widths)
        inner = self._learnt(start, spaces, jax.lax.stop_gradient(labels))
        error = _error(inner["classifiers"], spaces, labels)
        entropy = sum((losses.mean_entropy(probs) for probs in by_space), start=jnp.zeros(()))
        figures = {"error": error, "entropy": entropy}
        return error - self.entropy_weight * entropy, (inner if self.warm_start else aux, figures)

    def _unlearnt(self, key: jax.Array, widths: Sequence[int]) -> dict[str, Any]:
        """New classifiers, and the state of their Adam."""
        layers = _layers(key, widths, self.n_clusters)
        return {"classifiers": layers, "adam": optax.adam(self.inner_rate).init(layers)}

    def _learnt(self, start: dict[str, Any], spaces: Sequence[jax.Array], labels: jax.Array) -> dict[str, Any]:
        """The inner problem: the classifiers after a few steps towards the labels."""
        tx = optax.adam(self.inner_rate)

        def step(inner, _):
            gradients = jax.grad(_error)(inner["classifiers"], spaces, labels)
            updates, adam = tx.update(gradients, inner["adam"])
            return {"classifiers": optax.apply_updates(inner["classifiers"], updates), "adam": adam}, None

        return jax.lax.scan(step, start, length=self.inner_steps)[0]

    def assign(self, model, aux, features):
        return _mean(model.probabilities(model.encoder.apart(features)))

    def check_batch_size(self, batch_size, spec):
        if batch_size < self.n_clusters:
            raise InputError(
                f"a batch of {batch_size} samples can't show {self.n_clusters} clusters, all of which TURTLE "
                f"wants in every batch; use a batch size of at least {self.n_clusters}"
            )

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        adam = Optimizer(name="adam", learning_rate=1e-3)
        warm = self.warm_start if self.warm_start is not None else recipe == "fast"
        method = dataclasses.replace(self, warm_start=warm)
        if recipe == "paper":
            batch = _batch_for(spec, 10_000)
            return (Stage(method=method, steps=6000, batch_size=batch, optimizer=adam),)
        batch = _batch_for(spec, 512)
        steps = fast_steps(spec, epochs=25, at_least=1000, batch_size=batch)
        return (Stage(method=method, steps=steps, batch_size=batch, optimizer=adam),)


def _batch_for(spec: DataSpec, most: int) -> int:
    """So many samples, or nearly all where these are fewer: a number that devices can share."""
    n = spec.n_samples
    return most if n >= most else n - n % 64 if n > 64 else n


def _mean(by_space: Sequence[jax.Array]) -> jax.Array:
    """Labels [b, k] of each space -> the labels."""
    return jnp.mean(jnp.stack(by_space), axis=0)


def _error(classifiers: Layers, spaces: Sequence[jax.Array], labels: jax.Array) -> jax.Array:
    """Cross-entropy of the classifiers, summed over the spaces; of it either they or the labels learn."""
    errors = [jnp.mean(losses.cross_entropy(logits, labels)) for logits in _logits(classifiers, spaces)]
    return sum(errors, start=jnp.zeros(()))
