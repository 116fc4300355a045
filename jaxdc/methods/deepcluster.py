"""DeepCluster (Caron, Bojanowski, Joulin, Douze, ECCV 2018, arXiv 1807.05520).

k-means on the features of all images gives pseudo-labels. A fresh classifier on top of the encoder learns them
from augmented views until the features are clustered again.

Differs from the paper in: the encoder is a ResNet, because AlexNet and VGG16 are not included; its pooled features
are clustered, instead of those of a fully connected layer. k-means starts with k-means++ instead of random
samples. The guards against trivial solutions are those of the paper, with the differences listed in
``cluster.reassign_empty`` and ``cluster.balanced_order``. The classifier has the same momentum as the encoder
(none in the released code), reset to zero with every new classifier. The reported clusters are the nearest
centroids of the plain view, so that new images are predicted by the same function. The ``fast`` recipe has larger
batches and cosine decay.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, cluster, nn
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.k_means import best_k_means

DEFAULT_VIEWS = augment.Weak(crop=(0.08, 1.0), jitter_probability=0.0, greyscale_probability=0.0)


class _Network(nnx.Module):
    def __init__(self, method, spec, n_pseudo, rngs):
        side, channels = two_views.check_views(spec, method), 2 if method.sobel else spec.shape[2]
        self.encoder = method.backbone.make(side, channels, rngs)
        n, dtype = self.encoder.n_features, method.backbone.dtype
        self.head = nn.ClusterHead(n, None, n_pseudo, dtype=dtype, rngs=rngs)
        start_anew(self.head, rngs())


def start_anew(head: nn.ClusterHead, key: jax.Array) -> None:
    """Reinitialises a linear classifier with standard deviation 0.01, as in the paper."""
    (layer,) = head.mlp.layers
    assert layer.bias is not None
    layer.kernel[...] = 0.01 * jax.random.normal(key, layer.kernel.shape)
    layer.bias[...] = jnp.zeros(layer.bias.shape)


def _whitening_of(found: cluster.PCAWhitening) -> dict[str, jax.Array]:
    """The entries of ``aux`` that whiten new features."""
    return {"mean": found.mean, "components": found.components, "variances": found.variances}


@register("deepcluster", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepCluster(two_views.TwoViews):
    """DeepCluster: k-means and a classifier of its clusters by turns.

    Attributes:
      augmentation: augmentation for the classified view; the default only crops and flips.
      sobel: feed the encoder derivatives of the grey image instead of colours, as in the paper.
      n_pseudo_clusters: number of pseudo-label clusters; None is n_clusters. The paper takes ten times the
        classes.
      n_components: maximum number of principal components of the features that are whitened and clustered.
      reseed_empty: give an empty cluster half of a big one; otherwise it stays empty.
      uniform: sample epochs uniformly over the pseudo-labels; otherwise uniformly over the images.
      refresh_epochs: epochs between two clusterings; None uses the recipe's value (paper 1, fast 4), or 1 without
        a recipe. A fresh classifier learns little in a few steps, so small sets need more epochs.
      temperature: temperature of the reported probabilities, computed as in ``SimCLR``; training uses none.
      n_init: k-means runs that make n_clusters at the end if n_pseudo_clusters differs; the best is kept;
        pseudo-labels and earlier refreshes take one run.
    """

    augmentation: augment.Weak = DEFAULT_VIEWS
    sobel: bool = False
    n_pseudo_clusters: int | None = field(None, at_least=2)
    n_components: int = field(256, at_least=1)
    reseed_empty: bool = True
    uniform: bool = True
    refresh_epochs: float | None = field(None, above=0)
    temperature: float = field(0.1, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True

    @property
    def _n_pseudo(self):
        return self.n_pseudo_clusters or self.n_clusters

    def init(self, key, spec):
        model = _Network(self, spec, two_views.n_pseudo(self, spec), nnx.Rngs(key))
        d = model.encoder.n_features
        c = min(self.n_components, d, spec.n_samples)
        return model, {
            "mean": jnp.zeros(d),
            "components": jnp.zeros((c, d)),
            "variances": jnp.zeros(c),
            "centroids": jnp.zeros((self.n_clusters, c)),
            "pseudo_labels": jnp.zeros(spec.n_samples, jnp.int32),
        }

    def loss(self, model, aux, batch, key):
        features = model.encoder(self._seen(self.augmentation(key, batch["x"])), train=True)
        scores = jax.nn.log_softmax(model.head(features), axis=1)
        labels = aux["pseudo_labels"][batch["index"]]
        own = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
        accuracy = jnp.mean(jnp.argmax(scores, axis=1) == labels)
        return -jnp.mean(own), (aux, {"pseudo_accuracy": accuracy})

    def chance(self, batch_size, spec):
        return {"loss": math.log(self._n_pseudo)}

    def _seen(self, view):
        return augment.sobel(view) if self.sobel else view

    def embed(self, model, aux, batch):
        return model.encoder(self._seen(self.plain(batch["x"])))

    def draw(self, aux, key, n_samples):
        if not self.uniform:
            return super().draw(aux, key, n_samples)
        return cluster.balanced_order(key, aux["pseudo_labels"], self._n_pseudo)

    def refresh(self, model, aux, features, key):
        means_key, empty_key, head_key, reported_key = jax.random.split(key, 4)
        whitening = cluster.pca_whiten(features, len(aux["variances"]))
        x = two_views.unit(whitening.whitened)
        found = best_k_means(means_key, x, self._n_pseudo, n_iterations=20, empty="keep")
        centroids, labels = found.centroids, found.labels
        if self.reseed_empty:
            centroids, labels = cluster.reassign_empty(empty_key, centroids, labels)
        if self._n_pseudo != self.n_clusters:
            centroids = two_views.k_means_centroids(reported_key, x, self, n_init=1)
        start_anew(model.head, head_key)
        return model, {**_whitening_of(whitening), "centroids": centroids, "pseudo_labels": labels}

    def finish(self, model, aux, features, key):
        if self._n_pseudo == self.n_clusters:
            return self.refresh(model, aux, features, key)
        whitening = cluster.pca_whiten(features, len(aux["variances"]))
        centroids = two_views.k_means_centroids(key, two_views.unit(whitening.whitened), self)
        return model, {**aux, **_whitening_of(whitening), "centroids": centroids}

    def assign(self, model, aux, features):
        nothing = jnp.zeros((0, len(aux["variances"])))
        whitening = cluster.PCAWhitening(nothing, aux["mean"], aux["components"], aux["variances"])
        x = two_views.unit(whitening.transform(features))
        return two_views.nearest(x, aux["centroids"], self.temperature)

    @property
    def epochs_between_refreshes(self):
        return 1.0 if self.refresh_epochs is None else self.refresh_epochs

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":
            sgd = Optimizer(name="sgd", learning_rate=0.05, weight_decay=1e-5)
            return (Stage(method=self, epochs=200, batch_size=256, optimizer=sgd),)
        sgd = Optimizer(name="sgd", learning_rate=0.05, weight_decay=1e-5, batch_scaling="linear", cosine=True)
        every = self.refresh_epochs or two_views.FAST_REFRESH_EPOCHS
        method = dataclasses.replace(self, refresh_epochs=every)
        return method.fast(spec, epochs=500, optimizer=sgd)
