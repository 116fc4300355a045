"""Kingdra: an ensemble labels the samples on which it agrees (Gupta, Ramjee, Kwatra, Sivathanu, ICLR 2020).

Several networks, each from initial weights of its own, cluster the same samples: their softmax is to be sure of a
sample and even over all (``losses.information_maximisation``), and to stay when the sample is perturbed. At every
refresh the samples that all networks put together are joined, and k groups of them, no two of which more than a
few networks mix up, become labels, which all networks learn from then on. The answer is their average.

Networks number their clusters differently, so the clusters of each are matched to those of the others before any
labels or averages are made. A network that puts nearly everything into a few clusters would leave nothing to agree
on: it is left out of both until it has recovered, and the metric ``members`` says how many are left.

The recipe ``paper`` has the paper's ladder networks, sizes and lengths for MNIST: samples are perturbed by noise
at every layer, and a decoder learns to remove it (``parts/ladder.py``). ``fast`` has fewer, smaller and plain
networks, without noise or decoder, and 8 rounds; what perturbs its samples is the adversarial step of IMSAT (Hu
et al., 2017, arXiv 1702.08720), at one radius for all samples.

Differs from the paper in: samples are divided by their root mean square, which is the unit of the noise and of the
denoising cost of the samples too, while the released code takes its files as they are; it assigns clusters by
statistics of all samples, and here they are running ones of the batches. Labelled samples are those of the batch,
weighted to even classes, where the released code draws a second, even batch. A refresh that finds fewer than k
groups keeps the labels of the one before, and there the best set so far.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import losses
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Optimizer, Stage, fast_steps, field, register
from jaxdc.methods.parts import consensus, ladder, perceptrons, two_views

PAPER: dict[str, Any] = {
    "n_members": 10,
    "hidden": (1200, 1200),
    "refresh_epochs": 5.0,
    "noise": 0.3,
    "denoising_weights": (1000.0, 10.0, 0.1),
}
FAST: dict[str, Any] = {"n_members": 5, "hidden": (256, 256)}
ROUNDS = 8  # of the recipe fast
PROBE = 0.03  # length of the trial step that finds the adversarial direction, in the unit of ``radius``
FEW = 0.1  # a cluster is in use if it holds this share of an even one


class _Network(nnx.Module):
    def __init__(self, encoder):
        self.encoder = encoder


@register("kingdra", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Kingdra(Method):
    """An ensemble of networks that learns the labels of the samples on which all its members agree.

    Attributes:
      n_members: number of networks, m; None is the paper's 10, or 5 in the recipe fast.
      hidden: widths of their hidden layers; None is the paper's (1200, 1200), or (256, 256) in the recipe fast.
      ladder: make them ladder networks, with noise and a decoder; None does in the recipe paper.
      noise: standard deviation of the noise of a ladder network, where values have a mean square of about 1; None
        is the paper's 0.3.
      denoising_weights: weights of a ladder network's squared errors, from the samples up, of which the last is
        also for the levels above; None is the paper's (1000, 10, 0.1).
      radius: length of the adversarial step, in units of the root mean square norm of the samples; ladder networks
        take none.
      information_weight: weight of the information between samples and clusters.
      balance: weight of even clusters within it, mu; lower it for uneven classes.
      consistency_weight: weight of the divergence of perturbed samples' assignments from the plain ones.
      label_weight: weight of the cross-entropy with the labels that the members agree on.
      confidence: probability above which all members must be sure of a sample that gets a label; 0.9 for images,
        0 for texts in the paper.
      most_shared: a labelled group leaves out samples that more than so many members put into another group.
      refresh_epochs: epochs between two rounds of labels; None is the paper's 5, or an eighth of the stage in the
        recipe fast.
    """

    n_members: int | None = field(None, at_least=2)
    hidden: tuple[int, ...] | None = field(None, at_least=1)
    ladder: bool | None = None
    noise: float | None = field(None, at_least=0)
    denoising_weights: tuple[float, ...] | None = field(None, at_least=0)
    radius: float = field(0.15, at_least=0)
    information_weight: float = field(0.1, at_least=0)
    balance: float = field(4.0, at_least=0)
    consistency_weight: float = field(1.0, at_least=0)
    label_weight: float = field(1.0, at_least=0)
    confidence: float = field(0.9, at_least=0, below=1)
    most_shared: int = field(1, at_least=0)
    refresh_epochs: float | None = field(None, above=0)

    refresh_last: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        super().__post_init__()
        if self.denoising_weights == ():
            raise InputError("denoising_weights is empty: give one or more numbers, one for each level")

    @property
    def epochs_between_refreshes(self) -> float:
        """``refresh_epochs``, or the value that None means."""
        return PAPER["refresh_epochs"] if self.refresh_epochs is None else self.refresh_epochs

    def for_length(self, epochs):
        return self.filled({"refresh_epochs": epochs / ROUNDS}) if epochs else self

    def filled(self, settings: dict[str, Any]) -> Kingdra:
        """The method with these settings in place of fields that are None."""
        return dataclasses.replace(self, **{k: v for k, v in settings.items() if getattr(self, k) is None})

    def init(self, key, spec):
        method, k = self.filled(PAPER), self.n_clusters
        assert method.n_members is not None and method.hidden is not None and method.noise is not None
        sizes = (math.prod(spec.shape), *method.hidden, k)
        rngs = nnx.Rngs(key)
        if self.ladder:
            encoder = ladder.Ladders(spec, sizes, method.n_members, method.noise, rngs)
        else:
            encoder = perceptrons.Perceptrons(spec, sizes, method.n_members, rngs)
        return _Network(encoder), {
            "round": jnp.zeros((), jnp.int32),
            "labels": jnp.full(spec.n_samples, -1, jnp.int32),
            "weights": jnp.zeros(k, jnp.float32),
            "clusters": jnp.zeros(spec.n_samples, jnp.int32),
            "names": jnp.tile(jnp.arange(k, dtype=jnp.int32)[None], (method.n_members, 1)),
            "members": jnp.ones(method.n_members, bool),
        }

    def loss(self, model, aux, batch, key):
        z, more = model.encoder.scaled(batch["x"]), {}
        if self.ladder:
            plain, perturbed, costs = model.encoder.passes(z, key)
            more = {"denoising": self._denoising(costs)}
        else:
            plain, perturbed = self._adversarial(model.encoder, z, key)
        plain, perturbed = jnp.swapaxes(plain, 0, 1), jnp.swapaxes(perturbed, 0, 1)
        probs1, probs2 = jax.nn.softmax(plain, axis=2), jax.nn.softmax(perturbed, axis=2)
        information = jax.vmap(lambda p: losses.information_maximisation(p, mu=self.balance))
        divergence = jax.vmap(losses.kl_divergence)(jax.lax.stop_gradient(probs1), probs2)
        parts = {
            "information": self.information_weight * jnp.mean(information(probs1) + information(probs2)),
            "consistency": self.consistency_weight * jnp.mean(divergence),
            "labels": self.label_weight * self._labels(aux, perturbed, aux["labels"][batch["index"]]),
            **more,
        }
        figures = {**parts, "members": jnp.sum(aux["members"], dtype=jnp.float32)}
        return sum(parts.values()), (aux, figures)

    def _denoising(self, costs):
        """The costs of a ladder network's levels, from the samples up, with their weights: a scalar."""
        weights = self.denoising_weights or PAPER["denoising_weights"]
        return sum(weights[min(level, len(weights) - 1)] * cost for level, cost in enumerate(costs))

    def _adversarial(self, encoder, z, key):
        """Logits [b, m, k] of the samples, and of the samples a step away, in the direction that hurts most."""
        plain = encoder.logits(z, train=True)
        graphdef, state = nnx.split(encoder)

        def logits(z):  # its batch statistics are not kept: those that assign samples are of plain passes
            return nnx.merge(graphdef, state, copy=True).logits(z, train=True)

        return plain, logits(z + self._direction(key, logits, z, plain))

    def _direction(self, key, logits, z, plain):
        """The step that changes the assignments most, by one round of power iteration."""
        size = math.sqrt(z.shape[2])
        target = jax.lax.stop_gradient(jax.nn.softmax(plain, axis=2))

        def divergence(direction):
            return -jnp.sum(target * jax.nn.log_softmax(logits(z + PROBE * size * direction), axis=2))

        unit = two_views.unit
        direction = jax.grad(divergence)(unit(jax.random.normal(key, z.shape)))
        return jax.lax.stop_gradient(self.radius * size * unit(direction))

    def _labels(self, aux, logits, labels):
        """Cross-entropy of each member's logits [m, b, k] with the labels [b] by its names, the mean of all."""
        log_probs = jax.nn.log_softmax(logits, axis=2)
        own = aux["names"][:, jnp.maximum(labels, 0)]  # [m, b]
        chosen = jnp.take_along_axis(log_probs, own[:, :, None], axis=2)[:, :, 0]
        weights = jnp.where(labels >= 0, aux["weights"][jnp.maximum(labels, 0)], 0.0)
        total = jnp.sum(weights)
        return -jnp.mean(chosen @ weights) / jnp.where(total > 0, total, 1.0)

    def _probabilities(self, aux, features):
        """Features [n, m k] -> [n, m, k] by the common names."""
        names = aux["names"]
        probs = jax.nn.softmax(features.reshape(len(features), *names.shape), axis=2)
        return jnp.take_along_axis(probs, names[None], axis=2)

    def refresh(self, model, aux, features, key):
        k, first = self.n_clusters, int(aux["round"]) < 2
        by_member = sharding.to_host(features).reshape(len(features), -1, k)
        own = by_member.argmax(axis=2).T
        members = np.array([_is_whole(labels, k) for labels in own])
        used = members if members.any() else np.ones_like(members)  # if all collapse, all still vote
        # Until the first round of training is over, there is nothing to be named after.
        reference = own[used.argmax()] if first else np.asarray(aux["clusters"])
        names = np.stack([consensus.names_of(labels, reference, k) for labels in own]).astype(np.int32)
        new = {**aux, "round": aux["round"] + 1, "names": jnp.asarray(names), "members": jnp.asarray(members)}
        probs = sharding.to_host(self._probabilities(new, features))[:, used]
        clusters = probs.mean(axis=1).argmax(axis=1).astype(np.int32)
        new["clusters"] = jnp.asarray(clusters)
        if int(aux["round"]) > 0 and used.sum() > 1:
            labels = self._agreed(probs)
            if labels is not None:
                sizes = np.bincount(labels[labels >= 0], minlength=k)
                new["labels"] = jnp.asarray(labels, jnp.int32)
                new["weights"] = jnp.asarray(1 / sizes, jnp.float32)
        return model, new

    def _agreed(self, probs: np.ndarray) -> np.ndarray | None:
        """The labels [n] that members with common names agree on, -1 for none; None if a cluster has none."""
        k, by_member = self.n_clusters, probs.argmax(axis=2).T
        sure = np.all(probs.max(axis=2) > self.confidence, axis=1)
        most_shared = min(self.most_shared, len(by_member) - 1)
        found = consensus.buckets(by_member, sure, k, most_shared=most_shared)
        if found.max(initial=-1) < k - 1:
            return None
        one_of_each = np.array([np.flatnonzero(found == bucket)[0] for bucket in range(k)])
        return np.append(consensus.named(by_member[:, one_of_each].T, k), -1)[found]

    def warning(self, aux):
        """Says that members have collapsed, once they were trained for a round."""
        members = np.asarray(aux["members"])
        if aux["round"] < 2 or members.all():
            return None
        which, what = ("some", "are left out") if members.any() else ("all", "none can be left out")
        return (
            f"{which} networks of the ensemble use half of the clusters or fewer and {what} (the metric members "
            "says how many are left); try a lower learning rate or larger batches"
        )

    def assign(self, model, aux, features):
        members = aux["members"].astype(jnp.float32)
        members = jnp.where(jnp.any(aux["members"]), members, 1.0)
        return jnp.sum(self._probabilities(aux, features) * members[None, :, None], axis=1) / jnp.sum(members)

    def check_batch_size(self, batch_size, spec):
        if batch_size < self.n_clusters:
            raise InputError(
                f"a batch of {batch_size} samples can't show {self.n_clusters} even clusters, which Kingdra wants "
                f"in every batch; use a batch size of at least {self.n_clusters}"
            )

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        adam = Optimizer(name="adam", learning_rate=2e-3)
        if recipe == "paper":
            return (
                Stage(method=self.filled({**PAPER, "ladder": True}), epochs=250, batch_size=64, optimizer=adam),
            )
        batch = two_views.batch_for(spec, 128)
        steps = fast_steps(spec, epochs=50, at_least=2000, batch_size=batch)
        return (Stage(method=self.filled(FAST), steps=steps, batch_size=batch, optimizer=adam),)


def _is_whole(labels: np.ndarray, n_clusters: int) -> bool:
    """Whether a member uses more than half of the clusters."""
    share = np.bincount(labels, minlength=n_clusters) / len(labels)
    return int(np.sum(share >= FEW / n_clusters)) > n_clusters / 2
