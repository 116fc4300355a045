"""Associations: walks from anchors to samples and back, by the similarity of embeddings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global

LEAST = 1e-8  # added to a probability, whose logarithm may be infinite


def association(
    anchors: Float[Array, "m d"],
    z: Float[Array, "b d"],
    labels: Int[Array, " m"],
    *,
    axis_name: str | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Walks from each anchor to a sample and back should end at an anchor with the same label.

    With ``s_ij = anchors_i . z_j``, an anchor steps to the samples of the batch with the probabilities
    ``a_ij = softmax_j(s_ij)``, and a sample to the anchors with ``softmax_i(s_ij)``; ``r`` is their product, the
    probabilities of the round trip. Two losses of Associative Deep Clustering (Haeusser, Plapp, Golkov, Aljalbout,
    Cremers, GCPR 2018), after Learning by Association (Haeusser, Mordvintsev, Cremers, CVPR 2017, arXiv
    1706.00909):

    - walker: ``-mean_i sum_j t_ij log r_ij``, with ``t_i`` even over the anchors that share the label of ``i``;
    - visit: ``-mean_j log(mean_i a_ij)``, lowest, ``log b``, if all samples are visited equally often.

    Similarities are products, not cosines: the length of an embedding says how sure it is. 1e-8 is added inside
    both logarithms.

    Args:
      anchors: embeddings at which walks begin and end ``[m, d]``, whole on every device; the centroids of
        clusters, or augmented copies.
      z: embeddings of the samples ``[b, d]``.
      labels: label of each anchor ``[m]``, any integers.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the samples are split.

    Returns:
      Walker and visit loss in nats, scalars of the global batch, equal on all devices.

    Raises:
      ValueError: an argument is not a matrix, or no vector of integers, or the shapes don't match.

    Example:
      >>> centroids, z = jnp.eye(2), jnp.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
      >>> walker, visit = association(centroids, z, jnp.array([0, 1]))
      >>> print(walker, visit)
      0.257 1.116
    """
    anchors = _checks.matrix("anchors", anchors)
    z = _checks.matrix("z", z, ("anchors", anchors.shape[1]))
    labels = _checks.indices("labels", labels, ("anchors", anchors.shape[0]))
    scores = jnp.matmul(z, anchors.T, precision=jax.lax.Precision.HIGHEST)
    back = jax.nn.softmax(scores, axis=1)
    largest = jnp.max(jax.lax.stop_gradient(scores), axis=0, keepdims=True)
    if axis_name is not None:
        largest = jax.lax.pmax(largest, axis_name)
    weights = jnp.exp(scores - largest)
    there = weights / _global.total(jnp.sum(weights, axis=0, keepdims=True), axis_name)
    round_trip = _global.gram(there, back, axis_name)
    same = (labels[:, None] == labels[None, :]).astype(scores.dtype)
    targets = same / jnp.sum(same, axis=1, keepdims=True)
    walker = -jnp.mean(jnp.sum(targets * jnp.log(LEAST + round_trip), axis=1))
    visits = jnp.log(LEAST + jnp.mean(there, axis=1))
    visit = -_global.total(jnp.sum(visits), axis_name) / _global.n_rows(z.shape[0], axis_name)
    return walker, visit
