"""Losses that predict what another view of a sample gives: its embedding, or its assignment to prototypes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks
from jaxdc.losses._directions import unit


def view_prediction(predictions: Float[Array, "b d"], targets: Float[Array, "b d"]) -> Float[Array, " b"]:
    """Predicts the direction of another view's embedding: ``2 - 2 cos(prediction, target)``.

    The squared distance of the two directions: equation (2) of BYOL (Grill et al., 2020, arXiv 2006.07733), which
    sums it over both orders of the two views; ProPos takes the mean. There are no negatives, so the loss is 0 if
    all outputs are equal: watch that they are not.

    Args:
      predictions: the predictor's outputs ``[b, d]``; normalised here.
      targets: embeddings of the other view by the momentum encoder ``[b, d]``; normalised here. They get no
        gradient.

    Returns:
      ``[b]``, from 0 to 4.

    Raises:
      ValueError: an argument is no matrix, or the shapes differ.

    Example:
      >>> print(view_prediction(jnp.array([[3.0, 4.0]]), jnp.array([[1.0, 0.0]])))
      [0.8]
    """
    predictions, targets = _checks.matrices("predictions", predictions, "targets", targets)
    return 2.0 - 2.0 * jnp.sum(unit(predictions) * unit(jax.lax.stop_gradient(targets)), axis=1)


def swapped_prediction(
    scores: Float[Array, "v b k"], codes: Float[Array, "c b k"], *, temperature: float = 0.1
) -> Float[Array, " b"]:
    """Predicts the assignment of one crop of an image from every other crop.

    ``1/c sum_i 1/(v - 1) sum_(j != i) -sum_k codes_i[k] log softmax(scores_j / t)[k]`` over the crops i that have
    codes and all others j: equations (1) and (6) of SwAV (Caron et al., 2020, arXiv 2006.09882), whose c is 2, the
    crops of full size. Those predict each other; the small ones only predict.

    Args:
      scores: cosines of each crop's embedding and the prototypes ``[v, b, k]``, those with codes first; at least 2
        crops.
      codes: target assignments of the first c crops ``[c, b, k]``, as by ``sinkhorn``; they get no gradient.
      temperature: softmax temperature t, > 0.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: the shapes don't match, there is one crop alone, or ``temperature`` is not positive.

    Example:
      >>> scores = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])
      >>> print(swapped_prediction(scores, jnp.array([[[1.0, 0.0]]]), temperature=1.0))
      [1.313]
    """
    scores, codes = _checks.widen(jnp.asarray(scores)), _checks.widen(jnp.asarray(codes))
    if scores.ndim != 3 or scores.shape[0] < 2:
        raise ValueError(f"scores must be [v, b, k] of at least 2 crops, but its shape is {scores.shape}")
    if codes.ndim != 3 or codes.shape[1:] != scores.shape[1:] or not 0 < codes.shape[0] <= scores.shape[0]:
        raise ValueError(
            f"codes must be [c, {scores.shape[1]}, {scores.shape[2]}], of at most the {scores.shape[0]} crops of "
            f"scores, but its shape is {codes.shape}"
        )
    _checks.positive("temperature", temperature)
    log_p = jax.nn.log_softmax(scores / temperature, axis=2)
    codes = jax.lax.stop_gradient(codes)
    total = jnp.sum(log_p, axis=0)
    each = [-jnp.sum(code * (total - log_p[i]), axis=1) for i, code in enumerate(codes)]
    return sum(each[1:], each[0]) / (len(each) * (scores.shape[0] - 1))
