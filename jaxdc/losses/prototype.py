"""Losses with cluster prototypes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import unit

SMALLEST = 0.01  # minimum concentration, as a share of the mean


def concentration(
    features: Float[Array, "n d"],
    centroids: Float[Array, "k d"],
    labels: Int[Array, " n"],
    *,
    smoothing: float = 10.0,
    temperature: float = 0.2,
) -> Float[Array, " k"]:
    """How widely each cluster's members scatter around its centroid: PCL's temperature per prototype.

    ``phi = sum_z |v_z - c|_2 / (Z log(Z + smoothing))`` over the Z members of a cluster: equation (12) of PCL (Li
    et al., 2021, arXiv 2005.04966). As in the authors' code, clusters with at most one member first get
    the largest phi, then all are clipped to their 10th and 90th percentile, and scaled to the mean
    ``temperature``; none is left below a hundredth of it. Computed on the whole data set, in a refresh.

    Args:
      features: embeddings ``[n, d]``, by the momentum encoder in PCL.
      centroids: cluster means ``[k, d]``, in the same unit.
      labels: cluster of each sample ``[n]``, from 0 to k - 1.
      smoothing: keeps the phi of small clusters from becoming large, > 0.
      temperature: mean of the result, > 0.

    Returns:
      ``[k]``, > 0. If no cluster has any extent, all are ``temperature``.

    Raises:
      ValueError: an argument has the wrong rank, the shapes don't match, or a number is not positive.

    Example:
      >>> features, centroids = jnp.array([[0.0], [2.0], [9.0], [11.0]]), jnp.array([[1.0], [10.0]])
      >>> print(concentration(features, centroids, jnp.array([0, 0, 1, 1])))
      [0.2 0.2]
    """
    features = _checks.matrix("features", features)
    centroids = _checks.matrix("centroids", centroids, ("features", features.shape[1]))
    labels = _checks.indices("labels", labels, ("features", features.shape[0]))
    _checks.positive("smoothing", smoothing)
    _checks.positive("temperature", temperature)
    k = centroids.shape[0]
    squared = jnp.sum((features - _global.take_rows(centroids, labels)) ** 2, axis=1)
    # The square root has no finite gradient at 0.
    distances = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1.0)), 0.0)
    distances, labels = _global.on_all(distances), _global.on_all(labels)
    size = jax.ops.segment_sum(jnp.ones_like(distances), labels, k)
    total = jax.ops.segment_sum(distances, labels, k)
    loose = size > 1
    phi = jnp.where(loose, total / (jnp.maximum(size, 1.0) * jnp.log(size + smoothing)), 0.0)
    phi = jnp.where(loose, phi, jnp.max(phi))
    phi = jnp.clip(phi, jnp.percentile(phi, 10), jnp.percentile(phi, 90))
    mean = jnp.mean(phi)
    some = mean > jnp.finfo(phi.dtype).tiny
    phi = jnp.where(some, temperature * phi / jnp.where(some, mean, 1.0), temperature)
    # If a tenth of the clusters hold only copies of one sample, the percentile is 0, too.
    return jnp.maximum(phi, SMALLEST * temperature)


def proto_nce(
    z: Float[Array, "b d"],
    prototypes: Float[Array, "k d"],
    concentration: Float[Array, " k"],
    labels: Int[Array, " b"],
    *,
    negatives: Int[Array, " r"] | None = None,
) -> Float[Array, " b"]:
    """Classifies a sample's prototype among all prototypes, or among some of them.

    ``-log(exp(v.c_s / phi_s) / sum_j exp(v.c_j / phi_j))``: one granularity of the second term of equation (11) of
    PCL (Li et al., 2021, arXiv 2005.04966); the caller averages over granularities and adds ``info_nce``.
    If j does not run over all prototypes, it runs over the sample's own prototype, c_s, and ``negatives``.

    Args:
      z: embeddings ``[b, d]``; normalised here.
      prototypes: ``[k, d]``, stored with unit norm.
      concentration: phi of each prototype ``[k]``, > 0.
      labels: prototype of each sample ``[b]``, from 0 to k - 1.
      negatives: distinct rows of the prototypes ``[r]`` to contrast all samples with; a sample's own prototype
        among them is left out of its sum. None: all rows.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument has the wrong rank, or the shapes don't match.

    Example:
      >>> prototypes = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(proto_nce(jnp.array([[2.0, 0.0]]), prototypes, jnp.ones(2), jnp.array([0])))
      [0.313]
    """
    z = _checks.matrix("z", z)
    prototypes = _checks.matrix("prototypes", prototypes, ("z", z.shape[1]))
    labels = _checks.indices("labels", labels, ("z", z.shape[0]))
    concentration = _checks.widen(jnp.asarray(concentration))
    if concentration.shape != prototypes.shape[:1]:
        raise ValueError(
            f"concentration must have shape {prototypes.shape[:1]}, one value per prototype, "
            f"but has {concentration.shape}"
        )
    if negatives is None:
        scores = unit(z) @ prototypes.T / concentration[None, :]
        own = labels[:, None] == jnp.arange(prototypes.shape[0])[None, :]
        return jax.nn.logsumexp(scores, axis=1) - jnp.sum(jnp.where(own, scores, 0.0), axis=1)
    negatives = _checks.integers("negatives", negatives)
    v = unit(z)
    own = jnp.sum(v * _global.take_rows(prototypes, labels), axis=1) / _global.take_rows(concentration, labels)
    others = _global.take_rows(prototypes, negatives).T / _global.take_rows(concentration, negatives)[None, :]
    scores = jnp.where(labels[:, None] == negatives[None, :], -jnp.inf, v @ others)
    return jax.nn.logsumexp(jnp.concatenate([own[:, None], scores], axis=1), axis=1) - own


def prototype_scattering(
    z: Float[Array, "b d"],
    targets: Float[Array, "b d"],
    labels: Int[Array, " b"],
    n_clusters: int,
    *,
    temperature: float = 0.5,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Pushes the clusters' mean directions in the batch apart, and holds each to that of the targets.

    With ``mu_c`` the direction of the mean of the unit ``z`` of cluster c and ``mu'_c`` the same of the targets,
    ``-log(exp(mu_c.mu'_c / t) / (exp(mu_c.mu'_c / t) + sum_(j != c) exp(mu_c.mu_j / t)))``, averaged over the
    clusters that the batch has samples of: equation (9) of ProPos (Huang et al., 2022, arXiv 2111.11821). Only the
    positive looks at the targets. A cluster without samples is neither an anchor nor a negative.

    Args:
      z: embeddings of one view ``[b, d]``; normalised here.
      targets: embeddings of the other view by the momentum encoder ``[b, d]``; normalised here. They get no
        gradient.
      labels: cluster of each sample ``[b]``, from 0 to k - 1.
      n_clusters: number of clusters, k.
      temperature: softmax temperature t, > 0.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar in nats, >= 0, of the global batch, equal on all devices; 0 if all samples are of one cluster.

    Raises:
      ValueError: an argument has the wrong rank, the shapes don't match, ``n_clusters`` is below 1, or
        ``temperature`` is not positive.

    Example:
      >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(prototype_scattering(z, z, jnp.array([0, 1]), 2, temperature=1.0).round(4))
      0.3133
    """
    z, targets = _checks.matrices("z", z, "targets", targets)
    labels = _checks.indices("labels", labels, ("z", z.shape[0]))
    _checks.positive("temperature", temperature)
    if n_clusters < 1:
        raise ValueError(f"n_clusters must be at least 1, but is {n_clusters}")
    members = (labels[:, None] == jnp.arange(n_clusters)[None, :]).astype(z.dtype)
    # The direction of a sum is that of the mean.
    mu = unit(_global.gram(members, unit(z), axis_name))
    of_targets = unit(_global.gram(members, unit(jax.lax.stop_gradient(targets)), axis_name))
    present = _global.total(_global.on_all(jnp.sum(members, axis=0)), axis_name) > 0
    positive = jnp.sum(mu * of_targets, axis=1) / temperature
    own = jnp.eye(n_clusters, dtype=bool)
    scores = jnp.where(own, positive[:, None], mu @ mu.T / temperature)
    # An anchor without samples keeps its own score, so that no row is empty.
    scores = jnp.where(present[None, :] | own, scores, -jnp.inf)
    each = jnp.where(present, jax.nn.logsumexp(scores, axis=1) - positive, 0.0)
    return jnp.sum(each) / jnp.maximum(jnp.sum(present), 1)
