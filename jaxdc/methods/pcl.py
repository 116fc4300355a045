"""PCL: Prototypical Contrastive Learning (Li, Zhou, Xiong, Hoi, ICLR 2021, arXiv 2005.04966), then k-means.

Expectation: k-means, at several granularities, on the momentum encoder's embeddings of all images. Maximisation: a
query identifies the key of its image, as in MoCo, and also the prototype of its cluster, which pulls together
similar images that MoCo pushes apart.

v1 has a linear projection and MoCo's first views; v2 has an MLP, SimCLR's views with blur, and cosine decay.

Differs from the paper in: keys and clustered features are computed with averaged statistics, and the queue
starts empty (see ``moco.py``). v1's views turn grey after the jitter; in the released code they do before it.
Negative prototypes are drawn once per step and granularity for the whole batch, as in the released code; there a
sample is also contrasted with the prototypes of all other samples in the batch, here only with its own and the
drawn ones, which is the paper's equation. k-means stops before 20 iterations if the centroids have converged, and
uses all samples.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.cluster import layout
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import momentum, two_views
from jaxdc.methods.parts.k_means import best_k_means

DEFAULT_VIEWS = augment.Weak()
N_ITERATIONS = 20  # in a k-means run for prototypes


@register("pcl", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PCL(two_views.TwoViews):
    """Prototypical Contrastive Learning (v1 and v2), then k-means on its features.

    Attributes:
      augmentation: augmentation for the views of query and key. If only its size, mean and std are set, the recipe
        paper uses v1's jitter of (0.4, 0.4, 0.4, 0.4) for every image, and paper_v2 adds blur.
      head: the projection, "linear" (v1) or "mlp" (v2); None uses the recipe's value, or "mlp" without a
        recipe.
      hidden: width of the MLP's ReLU layer; None is the width of the features.
      projection: width of z, in which queries, keys and prototypes are compared.
      temperature: softmax temperature of InfoNCE, and mean of the prototypes' temperatures.
      momentum: share of the momentum encoder kept in each step; None uses the recipe's value (paper 0.999; fast,
        with views up to 64 pixels, 0.99), or 0.999 without a recipe.
      queue_size: number of keys in the queue; None uses the recipe's value (paper 16,384, fast 4,096), limited by
        the number of samples.
      n_prototypes: prototypes per granularity; None is a 200th, a 100th and a 50th of the samples, and at least
        the number of clusters.
      n_negative_prototypes: negative prototypes drawn per step and granularity; all, if there are no more than
        that. None uses the recipe's value (paper 16,384), or all without a recipe.
      smoothing: smoothing that keeps small clusters from high temperatures.
      warmup_epochs: epochs with InfoNCE alone; None is a tenth of the training, 20 of the paper's 200.
      refresh_epochs: epochs between two updates of the prototypes; None uses the recipe's value (paper 1, fast 4),
        or 1 without a recipe.
      prototype_n_init: k-means runs for the prototypes; the best is kept.
      embedding: features that k-means clusters at the end: the encoder's "features" or "z".
      n_clustered: number of leading samples used for the final clusters, for example to leave out STL-10's
        unlabelled images after them; None: all.
      n_init: k-means runs at the end; the best is kept; earlier refreshes take one run.
    """

    augmentation: augment.Weak = DEFAULT_VIEWS
    head: Literal["linear", "mlp"] | None = None
    hidden: int | None = field(None, at_least=1)
    projection: int = field(128, at_least=1)
    temperature: float = field(0.2, above=0)
    momentum: float | None = field(None, at_least=0, below=1)
    queue_size: int | None = field(None, at_least=1)
    n_prototypes: tuple[int, ...] | None = field(None, at_least=2)
    n_negative_prototypes: int | None = field(None, at_least=1)
    smoothing: float = field(10.0, above=0)
    warmup_epochs: float | None = field(None, at_least=0)
    refresh_epochs: float | None = field(None, above=0)
    prototype_n_init: int = restarts(5)
    embedding: Literal["features", "z"] = "features"
    n_clustered: int | None = field(None, at_least=1)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True
    recipe_names: ClassVar[tuple[str, ...]] = ("fast", "paper", "paper_v2")

    def __post_init__(self):
        super().__post_init__()
        if self.n_prototypes == ():
            raise InputError("n_prototypes is empty: give one or more numbers, one for each granularity")

    def init(self, key, spec):
        if (self.n_clustered or 0) > spec.n_samples:
            raise InputError(f"n_clustered is {self.n_clustered}, but there are {spec.n_samples} samples")
        sizes = self._prototypes_of(spec.n_samples)
        model = two_views.Network(self, spec, nnx.Rngs(key), hidden=self.hidden, linear=self.head == "linear")
        width = model.encoder.n_features if self.embedding == "features" else self.projection
        return model, {
            **momentum.start(model, queue_size=self._queue_size(spec), width=self.projection),
            "labels": jnp.zeros((len(sizes), spec.n_samples), jnp.int32),
            "prototypes": tuple(jnp.zeros((k, self.projection)) for k in sizes),
            "concentration": tuple(jnp.full(k, self.temperature, jnp.float32) for k in sizes),
            "n_refreshes": jnp.zeros((), jnp.int32),
            "warmed_up": jnp.array(False),
            "centroids": jnp.zeros((self.n_clusters, width)),
        }

    def _prototypes_of(self, n_samples):
        if self.n_prototypes is None:
            return tuple(max(n_samples // share, self.n_clusters) for share in (200, 100, 50))
        if max(self.n_prototypes) > n_samples:
            raise InputError(
                f"can't make {max(self.n_prototypes)} prototypes from {n_samples} samples: lower n_prototypes"
            )
        return self.n_prototypes

    def _queue_size(self, spec):
        return self.queue_size or min(4096, spec.n_samples)

    def check_batch_size(self, batch_size, spec):
        momentum.check_queue(self._queue_size(spec), batch_size)

    @property
    def epochs_between_refreshes(self):
        return 1.0 if self.refresh_epochs is None else self.refresh_epochs

    def for_length(self, epochs):
        if self.warmup_epochs is not None:
            return self
        return dataclasses.replace(self, warmup_epochs=float(round(epochs / 10)))

    def check_length(self, epochs):
        if (self.warmup_epochs or 0.0) > epochs:
            raise InputError(
                f"the warm-up of {self.warmup_epochs:g} epochs is longer than the training of {epochs:g}, which "
                "would never use prototypes: lower warmup_epochs, or train longer"
            )

    def loss(self, model, aux, batch, key):
        views_key, negatives_key = jax.random.split(key)
        views = augment.two_views(views_key, batch["x"], self.augmentation)
        queries, keys, new = momentum.step(model, aux, views, momentum.or_paper(self.momentum))
        instance = momentum.info_nce(queries, keys, aux, self.temperature)
        granularities = list(zip(aux["prototypes"], aux["concentration"], aux["labels"], strict=True))
        prototype = jnp.float32(0.0)
        for i, (prototypes, concentration, labels) in enumerate(granularities):
            negatives = self._negatives(jax.random.fold_in(negatives_key, i), len(prototypes))
            own = labels[batch["index"]]
            each = losses.proto_nce(queries, prototypes, concentration, own, negatives=negatives)
            prototype += jnp.mean(each) / len(granularities)
        prototype = jnp.where(aux["warmed_up"], prototype, 0.0)
        return instance + prototype, (new, {"instance": instance, "prototype": prototype})

    def chance(self, batch_size, spec):
        return {"instance": math.log(1 + self._queue_size(spec))}

    def _negatives(self, key, n_prototypes):
        """Distinct rows to use as a step's negatives; None if all prototypes are used."""
        if self.n_negative_prototypes is None or self.n_negative_prototypes >= n_prototypes:
            return None
        return jax.random.permutation(key, n_prototypes)[: self.n_negative_prototypes]

    def embed(self, model, aux, batch):
        average = momentum.network(model, aux)
        features = average.encoder(self.plain(batch["x"]))
        return features if self.embedding == "features" else two_views.unit(average.projector(features))

    def refresh(self, model, aux, features, key):
        centroids_key, prototypes_key = jax.random.split(key)
        n_refreshes = int(aux["n_refreshes"])
        new = {
            **aux,
            "n_refreshes": jnp.int32(n_refreshes + 1),
            "centroids": self._centroids(centroids_key, features, n_init=1),
        }
        # Refreshes start at step 0, so at refresh i exactly i intervals have passed.
        if n_refreshes * self.epochs_between_refreshes < (self.warmup_epochs or 0.0) - 1e-6:
            return model, new
        z = features
        if self.embedding == "features":
            z = two_views.unit(layout.by_rows(momentum.network(model, aux).projector, features))
        found = [
            self._expectation(jax.random.fold_in(prototypes_key, i), z, len(prototypes))
            for i, prototypes in enumerate(aux["prototypes"])
        ]
        labels, prototypes, concentration = zip(*found, strict=True)
        return model, {
            **new,
            "labels": jnp.stack(labels),
            "prototypes": prototypes,
            "concentration": concentration,
            "warmed_up": jnp.array(True),
        }

    def finish(self, model, aux, features, key):
        return model, {**aux, "centroids": self._centroids(key, features)}

    def _centroids(self, key, features, n_init=None):
        return two_views.k_means_centroids(key, two_views.unit(features[: self.n_clustered]), self, n_init)

    def _expectation(self, key, z, n_prototypes):
        """Labels, prototypes and concentration of one granularity."""
        # As in the released code; k-means++ would pass over all samples once per prototype.
        runs = {"n_init": self.prototype_n_init, "n_iterations": N_ITERATIONS, "init": "random"}
        found = best_k_means(key, z, n_prototypes, **runs)
        return found.labels, *_directions(z, found.centroids, found.labels, self.smoothing, self.temperature)

    def assign(self, model, aux, features):
        return two_views.nearest(two_views.unit(features), aux["centroids"], self.temperature)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(name="sgd", learning_rate=0.03, weight_decay=1e-4, batch_scaling="linear")
        cosine = dataclasses.replace(sgd, cosine=True)
        if recipe == "fast":
            every = self.refresh_epochs or two_views.FAST_REFRESH_EPOCHS
            method = dataclasses.replace(self, head=self.head or "mlp", refresh_epochs=every)
            if self.momentum is None and two_views.views_are_small(self, spec):
                method = dataclasses.replace(method, momentum=momentum.SMALL)
            return method.fast(spec, epochs=450, optimizer=cosine)
        v2 = recipe == "paper_v2"
        method = dataclasses.replace(
            self,
            backbone=self.backbone.or_else(depth=50),
            augmentation=self._views_of_the_paper(v2),
            head=self.head or ("mlp" if v2 else "linear"),
            queue_size=self.queue_size or min(16_384, spec.n_samples),
            n_negative_prototypes=self.n_negative_prototypes or 16_384,
        )
        steps = dataclasses.replace(sgd, decay_at=(0.6, 0.8))
        return (Stage(method=method, epochs=200, batch_size=256, optimizer=cosine if v2 else steps),)

    def _views_of_the_paper(self, v2):
        mine = self.augmentation
        if dataclasses.replace(mine, size=None, mean=None, std=None) != DEFAULT_VIEWS:
            return mine
        if v2:
            return dataclasses.replace(mine, blur_probability=0.5)
        return dataclasses.replace(mine, jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0)


@functools.partial(jax.jit, static_argnames=("smoothing", "temperature"))
def _directions(z, centroids, labels, smoothing, temperature):
    """Unit-norm prototypes, and the concentration of the members around the unnormalised centroids."""
    concentration = losses.concentration(z, centroids, labels, smoothing=smoothing, temperature=temperature)
    return two_views.unit(centroids), concentration
