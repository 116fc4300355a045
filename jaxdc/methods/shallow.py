"""Classic baselines, with the same command and run folder as the deep methods.

k-means runs on the device; PCA, NMF, spectral and agglomerative clustering come from scikit-learn. They take no
gradient steps: all the work is one refresh.
"""

from __future__ import annotations

import abc
import dataclasses
import math
import warnings
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxdc import cluster
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Stage, field, register, restarts
from jaxdc.methods.parts.eigenvectors import smallest_eigenvectors
from jaxdc.methods.parts.k_means import best_k_means


def flatten(x: jax.Array) -> jax.Array:
    """[b, ...] -> [b, d]."""
    return x.reshape(x.shape[0], -1)


def _one_hot(labels: jax.Array, n_clusters: int) -> jax.Array:
    return jax.nn.one_hot(labels, n_clusters, dtype=jnp.float32)


def rms_of(x: np.ndarray) -> float:
    """The root mean square of all values; 1 if all are 0."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) or 1.0


def unit_rms(x: np.ndarray) -> np.ndarray:
    """The samples divided by their root mean square."""
    return x / rms_of(x)


def random_state(key: jax.Array) -> int:
    """A seed for scikit-learn."""
    return int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))


def largest_first(labels: np.ndarray, most: int) -> np.ndarray:
    """Clusters numbered by size, at most so many; the samples of the others are in none, -1."""
    found, sizes = np.unique(labels[labels >= 0], return_counts=True)
    number = np.full(len(found) + 1, -1, np.int32)
    kept = found[np.argsort(-sizes, kind="stable")][:most]
    number[kept] = np.arange(len(kept))
    return number[labels]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shallow(Method):
    """A method without training: the features are the samples, and one refresh does all the work."""

    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)
    inherits: ClassVar[tuple[str, ...]] = ()
    is_trained: ClassVar[bool] = False

    def init(self, key, spec):
        del key
        return nnx.Module(), self._empty(spec.n_samples, math.prod(spec.shape))

    @abc.abstractmethod
    def _empty(self, n_samples: int, d: int) -> dict[str, jax.Array]:
        """Placeholder for ``aux`` before the data are seen."""

    def loss(self, model, aux, batch, key):
        raise NotImplementedError(f"{type(self).__name__} takes no gradient steps")

    def embed(self, model, aux, batch):
        return flatten(batch["x"])

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        return (Stage(method=self, steps=0),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeansOfFeatures(Shallow):
    """k-means on the features; the probabilities are 0 and 1."""

    n_init: int = restarts(20)

    def _empty(self, n_samples, d):
        return {"centroids": jnp.zeros((self.n_clusters, self._width(n_samples, d)))}

    def _width(self, n_samples: int, d: int) -> int:
        del n_samples
        return d

    def refresh(self, model, aux, features, key):
        result = best_k_means(key, features, self.n_clusters, n_init=self.n_init)
        return model, {"centroids": result.centroids}

    def assign(self, model, aux, features):
        return _one_hot(cluster.nearest_centroid(features, aux["centroids"]), self.n_clusters)


@register("kmeans", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeans(KMeansOfFeatures):
    """k-means on the raw samples (Lloyd, greedy k-means++).

    Attributes:
      n_init: k-means runs; the one with the lowest inertia is kept.
    """


@register("pca_kmeans", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PCAKMeans(KMeansOfFeatures):
    """k-means on the leading principal components.

    Attributes:
      n_components: number of components, limited by the number of features and samples.
      n_init: k-means runs; the best is kept.
    """

    n_components: int = field(50, at_least=1)
    inherits: ClassVar[tuple[str, ...]] = ("encoder",)

    def _width(self, n_samples, d):
        return min(self.n_components, n_samples, d)

    def init(self, key, spec):
        d = math.prod(spec.shape)
        model = _WithEncoder(_Projection(d, self._width(spec.n_samples, d)))
        return model, self._empty(spec.n_samples, d)

    def embed(self, model, aux, batch):
        return model.encoder(batch["x"])

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        fit = _FitPCA(n_clusters=self.n_clusters, n_components=self.n_components)
        return (Stage(method=fit, steps=0), Stage(method=self, steps=0))


@register("nmf", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class NMFKMeans(KMeansOfFeatures):
    """k-means on the weights of a non-negative matrix factorisation (Lee and Seung, 1999).

    Attributes:
      n_components: rank of the factorisation (default: the number of clusters).
      n_init: k-means runs; the best is kept.
    """

    n_components: int | None = field(None, at_least=1)
    inherits: ClassVar[tuple[str, ...]] = ("encoder",)
    non_negative: ClassVar[bool] = True

    def _width(self, n_samples, d):
        return min(self.n_components or self.n_clusters, n_samples, d)

    def init(self, key, spec):
        d = math.prod(spec.shape)
        model = _WithEncoder(_NonNegativeWeights(d, self._width(spec.n_samples, d)))
        return model, self._empty(spec.n_samples, d)

    def embed(self, model, aux, batch):
        return model.encoder(batch["x"])

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        fit = _FitNMF(n_clusters=self.n_clusters, n_components=self.n_components or self.n_clusters)
        return (Stage(method=fit, steps=0), Stage(method=self, steps=0))


class _WithEncoder(nnx.Module):
    def __init__(self, encoder: nnx.Module):
        self.encoder = encoder


class _Projection(nnx.Module):
    """Principal components: ``(x - mean) components^T``."""

    def __init__(self, d: int, width: int):
        self.mean = nnx.Variable(jnp.zeros(d))
        self.components = nnx.Variable(jnp.zeros((width, d)))

    def __call__(self, x: jax.Array) -> jax.Array:
        return (flatten(x) - self.mean[...][None, :]) @ self.components[...].T


class _NonNegativeWeights(nnx.Module):
    """The weights w >= 0 that minimise ``|x - w components|^2`` for each sample."""

    def __init__(self, d: int, width: int):
        self.components = nnx.Variable(jnp.zeros((width, d)))

    def __call__(self, x: jax.Array) -> jax.Array:
        components = self.components[...]
        return non_negative_least_squares(flatten(x) @ components.T, components @ components.T)


def non_negative_least_squares(
    cross: Float[Array, "n c"], gram: Float[Array, "c c"], *, n_sweeps: int = 200
) -> Float[Array, "n c"]:
    """Solves ``min_{w >= 0} |x - w H|^2`` for every row x, by coordinate descent.

    Args:
      cross: ``x H^T [n, c]``.
      gram: ``H H^T [c, c]``.
      n_sweeps: passes over the c coordinates.

    Returns:
      Weights ``[n, c]``.
    """

    def coordinate(i, w):
        j = i % gram.shape[0]
        gradient = w @ gram[:, j] - cross[:, j]
        step = gradient / jnp.where(gram[j, j] > 0, gram[j, j], 1.0)
        return w.at[:, j].set(jnp.maximum(w[:, j] - step, 0.0))

    return jax.lax.fori_loop(0, n_sweeps * gram.shape[0], coordinate, jnp.zeros_like(cross))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FitProjection(Shallow):
    """A stage that fits a projection and hands it over as the encoder. It makes no clusters."""

    n_components: int = field(at_least=1)
    clusters: ClassVar[bool] = False
    refresh_epochs: ClassVar[float | None] = 1.0

    def _empty(self, n_samples, d):
        return {}

    def assign(self, model, aux, features):
        raise NotImplementedError(f"{type(self).__name__} makes no clusters")


@register("fit_pca", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class _FitPCA(_FitProjection):
    def init(self, key, spec):
        d = math.prod(spec.shape)
        return _WithEncoder(_Projection(d, min(self.n_components, spec.n_samples, d))), {}

    def refresh(self, model, aux, features, key):
        from sklearn.decomposition import PCA

        encoder = model.encoder
        width = encoder.components[...].shape[0]
        pca = PCA(width, random_state=random_state(key)).fit(sharding.to_host(features))
        encoder.mean[...] = jnp.asarray(pca.mean_, jnp.float32)
        encoder.components[...] = jnp.asarray(pca.components_, jnp.float32)
        return model, aux


@register("fit_nmf", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class _FitNMF(_FitProjection):
    def init(self, key, spec):
        d = math.prod(spec.shape)
        return _WithEncoder(_NonNegativeWeights(d, min(self.n_components, spec.n_samples, d))), {}

    def refresh(self, model, aux, features, key):
        from sklearn.decomposition import NMF

        x = sharding.to_host(features)
        if x.min() < 0:
            raise InputError(f"NMF needs values of 0 or more, but the smallest value in the data is {x.min():g}")
        width = model.encoder.components[...].shape[0]
        nmf = NMF(width, init="nndsvda", random_state=random_state(key), max_iter=500, tol=1e-4)
        model.encoder.components[...] = jnp.asarray(nmf.fit(x).components_, jnp.float32)
        return model, aux


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transductive(Shallow):
    """A new sample gets the cluster of the nearest training sample, so all of them are kept."""

    def _empty(self, n_samples, d):
        return {"samples": jnp.zeros((n_samples, d)), "labels": jnp.zeros(n_samples, jnp.int32)}

    @abc.abstractmethod
    def _fit(self, x: np.ndarray, random_state: int) -> np.ndarray:
        """Labels [n] of samples [n, d]."""

    def refresh(self, model, aux, features, key):
        x = sharding.to_host(features)
        labels = self._fit(x, random_state(key))
        return model, {"samples": jnp.asarray(x), "labels": jnp.asarray(labels, jnp.int32)}

    def assign(self, model, aux, features):
        # In row blocks, to avoid a full [n, n] matrix of distances.
        def labels(row):
            return aux["labels"][cluster.nearest_centroid(row[None], aux["samples"])[0]]

        return _one_hot(jax.lax.map(labels, features, batch_size=256), self.n_clusters)


@register("spectral", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectral(Transductive):
    """Spectral clustering on a nearest-neighbour graph (Ng, Jordan and Weiss, 2001).

    scikit-learn's ``SpectralClustering``. It factorises the graph, which in many dimensions takes hours from some
    ten thousand samples on; above ``factorized``, the same eigenvectors are found by iteration.

    Attributes:
      n_neighbors: number of neighbours of each sample in the graph.
    """

    n_neighbors: int = field(10, at_least=1)

    factorized: ClassVar[int] = 10_000

    def init(self, key, spec):
        if not 0 < self.n_neighbors < spec.n_samples:
            raise InputError(f"n_neighbors is {self.n_neighbors}, but there are only {spec.n_samples} samples")
        return super().init(key, spec)

    def _fit(self, x, random_state):
        from sklearn.cluster import SpectralClustering

        if len(x) > self.factorized:
            return self._fit_by_iteration(x, random_state)
        spectral = SpectralClustering(
            self.n_clusters,
            affinity="nearest_neighbors",
            n_neighbors=self.n_neighbors,
            random_state=random_state,
        )
        with warnings.catch_warnings():
            # Well-separated clusters give a disconnected graph, which is fine here.
            warnings.filterwarnings("ignore", "Graph is not fully connected")
            return spectral.fit_predict(x)

    def _fit_by_iteration(self, x, random_state):
        from scipy.sparse.csgraph import laplacian
        from sklearn.neighbors import kneighbors_graph

        graph = kneighbors_graph(x, self.n_neighbors, include_self=True)
        normalized, roots = laplacian(0.5 * (graph + graph.T), normed=True, return_diag=True)
        vectors = smallest_eigenvectors(normalized, self.n_clusters, random_state) / roots[:, None]
        found = best_k_means(jax.random.key(random_state), jnp.asarray(vectors), self.n_clusters, n_init=10)
        return np.asarray(found.labels)


@register("agglomerative", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Agglomerative(Transductive):
    """Agglomerative clustering (Ward, 1963). Memory grows with the square of the number of samples.

    Attributes:
      linkage: criterion for the next merge: the least added variance (ward), or the least maximum
        (complete), mean (average) or minimum (single) distance.
    """

    linkage: Literal["ward", "complete", "average", "single"] = "ward"
    max_samples: ClassVar[int] = 40_000

    def init(self, key, spec):
        n = spec.n_samples
        if n > self.max_samples:
            raise InputError(
                f"agglomerative clustering of {n} samples needs {n**2 * 4 / 2**30:.0f} GiB for the distances: "
                f"use at most {self.max_samples} samples"
            )
        return super().init(key, spec)

    def _fit(self, x, random_state):
        from sklearn.cluster import AgglomerativeClustering

        del random_state
        return AgglomerativeClustering(self.n_clusters, linkage=self.linkage).fit_predict(x)
