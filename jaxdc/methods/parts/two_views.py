"""What methods on augmented views share: two bases, the network, views as one batch, k-means on unit features.

``TwoViews`` brings the backbone, the augmentation and the embedding of plain views; a method adds its heads, its
loss and its recipes. ``KMeansAfter`` adds a projection and k-means at the end of the run.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, nn
from jaxdc.errors import InputError
from jaxdc.losses._directions import unit as unit
from jaxdc.methods.base import DataSpec, Method, Optimizer, Stage, check_image_shape, field, restarts
from jaxdc.methods.parts.k_means import best_k_means

FAST_REFRESH_EPOCHS = 4.0  # embedding the whole set takes a good part of an epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoViews(Method):
    """A method that learns from augmented views of images.

    Attributes:
      backbone: the encoder.
      augmentation: augmentation of both views.
    """

    backbone: nn.Backbone = nn.Backbone()
    augmentation: Any = augment.Weak()

    images_only: ClassVar[bool] = True

    def views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """Two views of each image, next to each other: [b, h, w, c] -> [2b, h, w, c]. ``apart`` divides them."""
        return side_by_side(*augment.two_views(key, x, self.augmentation))

    def side(self, spec: DataSpec) -> int:
        """Side length of the views; refuses what is no image."""
        return check_views(spec, self)

    def plain(self, x: jax.Array) -> jax.Array:
        """The view to embed: same size and normalisation, nothing random."""
        return self.augmentation.plain(None, x)

    def embed(self, model, aux, batch):
        del aux
        return model.encoder(self.plain(batch["x"]))

    def fast(self, spec: DataSpec, *, epochs: float, optimizer: Optimizer) -> tuple[Stage, ...]:
        """The ``fast`` recipe: large batches, smaller ones for small data sets, and at least 1,000 steps.

        ``epochs`` should take ten minutes on CIFAR-10 with a ResNet-18 in bfloat16, by the throughput of an H200.
        """
        return (fast_stage(self, spec, epochs=epochs, batch_size=512, optimizer=optimizer),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeansAfter(TwoViews):
    """A method on views whose unit features, or z, are clustered by k-means at the end of the run.

    Attributes:
      projection: width of z, in which views are compared.
      temperature: softmax temperature of the loss and of the reported probabilities.
      n_init: runs of k-means, of which the best is kept.
    """

    projection: int = field(128, at_least=1)
    temperature: float | None = field(0.5, above=0)
    n_init: int = restarts(20)

    embedding: ClassVar[str] = "features"  # or "z"; a field where the user chooses

    @property
    def odds(self) -> float:
        """The temperature of the reported probabilities."""
        assert self.temperature is not None
        return self.temperature

    def no_centroids(self, model: Network) -> jax.Array:
        """Centroids [k, d] before the first k-means."""
        width = model.encoder.n_features if self.embedding == "features" else self.projection
        return jnp.zeros((self.n_clusters, width))

    def embed(self, model, aux, batch):
        del aux
        x = self.plain(batch["x"])
        return unit(model.encoder(x) if self.embedding == "features" else model(x))

    def refresh(self, model, aux, features, key):
        return model, {**aux, "centroids": k_means_centroids(key, features, self)}

    def assign(self, model, aux, features):
        del model
        return nearest(features, aux["centroids"], self.odds)


class Network(nnx.Module):
    """A backbone, and the projection in which its features are compared.

    Args:
      method: method of the base above, with a ``projection``.
      spec: specification of the data.
      rngs: random streams for initialisation.
      hidden: width of the projection's ReLU layer; None is the width of the features.
      linear: use a single layer as the projection.
      batch_norm: use batch normalisation in the projection.
      norm_last: with ``batch_norm``, normalise the last layer too.
    """

    def __init__(
        self,
        method: Any,
        spec: DataSpec,
        rngs: nnx.Rngs,
        *,
        hidden: int | None = None,
        linear: bool = False,
        batch_norm: bool = False,
        norm_last: bool = True,
    ):
        backbone = method.backbone
        self.encoder = backbone.make(method.side(spec), spec.shape[2], rngs)
        n = self.encoder.n_features
        hidden = None if linear else hidden or n
        self.projector = nn.ProjectionHead(
            n,
            hidden,
            method.projection,
            batch_norm=batch_norm,
            norm_last=norm_last,
            dtype=backbone.dtype,
            rngs=rngs,
        )

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> z [b, projection]."""
        return self.projector(self.encoder(x, train=train), train=train)


class Vectors(nnx.Module):
    """Encoder for vectors that are features already: scales each to unit mean square."""

    def __init__(self, n_features: int):
        self.n_features = n_features

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, ...] -> [b, n_features]."""
        return unit(x.reshape(x.shape[0], -1)) * math.sqrt(self.n_features)


def check_views(spec: DataSpec, method: Any) -> int:
    """Side length of the views that ``method.augmentation`` makes from such images.

    Raises:
      InputError: the samples are not images, or the augmentation does not fit them.
    """
    name = type(method).__name__
    check_image_shape(spec, f"{name}, which learns from augmented views,")
    if spec.shape[2] not in (1, 3):
        raise InputError(f"{name} needs images with 1 or 3 channels, but these have {spec.shape[2]}")
    try:
        one = jax.ShapeDtypeStruct((1, *spec.shape), jnp.float32)
        jax.eval_shape(method.augmentation, jax.random.key(0), one)
    except ValueError as error:
        size = " x ".join(map(str, spec.shape))
        raise InputError(f"the augmentation of {name} does not fit images of {size}: {error}") from error
    return method.augmentation.size or min(spec.shape[:2])


def views_are_small(method: Any, spec: DataSpec) -> bool:
    """Whether the views have at most 64 pixels per side, as for CIFAR."""
    check_image_shape(spec, f"{type(method).__name__}, which learns from augmented views,")
    return (method.augmentation.size or min(spec.shape[:2])) <= 64


def side_by_side(view1: jax.Array, view2: jax.Array) -> jax.Array:
    """[b, ...] twice -> [2b, ...], with the two views of a sample next to each other.

    This keeps a batch that is sharded by sample in place; concatenating the views would move half of it.
    """
    return jnp.stack([view1, view2], axis=1).reshape(2 * view1.shape[0], *view1.shape[1:])


def apart(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[2b, d] in the order of ``side_by_side`` -> [b, d] of view 1 and of view 2."""
    pairs = rows.reshape(rows.shape[0] // 2, 2, *rows.shape[1:])
    return pairs[:, 0], pairs[:, 1]


def k_means_centroids(key: jax.Array, features: jax.Array, method: Any, n_init: int | None = None) -> jax.Array:
    """Centroids [k, d] of the best of ``n_init`` k-means runs (default: ``method.n_init``)."""
    return best_k_means(key, features, method.n_clusters, n_init=n_init or method.n_init).centroids


def n_pseudo(method: Any, spec: DataSpec) -> int:
    """``method.n_pseudo_clusters``, or the value that None means.

    Raises:
      InputError: there are fewer samples than that.
    """
    n = method.n_pseudo_clusters or method.n_clusters
    if n > spec.n_samples:
        raise InputError(
            f"can't make {n} pseudo-clusters from {spec.n_samples} samples: "
            f"n_pseudo_clusters must be from 2 to {spec.n_samples}"
        )
    return n


def nearest(features: jax.Array, centroids: jax.Array, temperature: float) -> jax.Array:
    """Probabilities [n, k], highest for the nearest centroid: softmax of -|features - centroid|^2 / (2 t).

    On the unit sphere these are the odds in the contrastive losses: exp(cosine / t) up to a factor.
    """
    # |feature|^2 is the same for all centroids, and cancels.
    products = jnp.matmul(features, centroids.T, precision=jax.lax.Precision.HIGHEST)
    scores = products - 0.5 * jnp.sum(centroids * centroids, axis=1)[None, :]
    return jax.nn.softmax(scores / temperature, axis=1)


def batch_for(spec: DataSpec, batch_size: int) -> int:
    """``batch_size``, halved while it is above 32 and above a quarter of the samples."""
    while batch_size > 32 and batch_size * 4 > spec.n_samples:
        batch_size //= 2
    return batch_size


def fast_stage(
    method: Any,
    spec: DataSpec,
    *,
    epochs: float,
    batch_size: int,
    optimizer: Optimizer,
    reported_only: bool = False,
) -> Stage:
    """A stage with a smaller batch on a small data set, and at least 1,000 steps.

    Its length is in epochs, so that another batch size sees as many images.
    """
    spec = spec.reported if reported_only else spec
    batch = batch_for(spec, batch_size)
    length = max(epochs, 1000 / max(spec.n_samples // batch, 1))
    return Stage(method=method, epochs=length, batch_size=batch, optimizer=optimizer, reported_only=reported_only)
