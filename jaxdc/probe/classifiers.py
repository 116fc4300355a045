"""Linear and nearest-neighbour classifiers of frozen features.

They give the accuracy tables of representation learning. Only here are labels used for training.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdc import cluster
from jaxdc.errors import InputError
from jaxdc.float32 import in_float32
from jaxdc.settings import integer, number, seed_of

L2_GRID = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
N_ITERATIONS = 1000
TOLERANCE = 1e-6  # on the largest component of the gradient; at 1e-4 weak L2 terms still change decisions
PATIENCE = 20  # iterations without a decrease of the objective: float32 can't lower it further
KNN_BLOCK = 4096  # test samples whose neighbours are in memory at a time


class LinearProbe(NamedTuple):
    """The result of a linear classifier of the features.

    Attributes:
      accuracy: share of the test samples whose class is ranked first.
      top5: share of those whose class is among the first five; None for at most five classes.
      l2: selected strength of the L2 penalty.
      labels_pred: predicted classes of the test samples ``[m]``.
      converged: whether the last fit converged; False if it ran out of iterations.
    """

    accuracy: float
    top5: float | None
    l2: float
    labels_pred: np.ndarray
    converged: bool


class KNNProbe(NamedTuple):
    """The result of a vote of the nearest training samples.

    Attributes:
      accuracy: as in ``LinearProbe``.
      top5: as in ``LinearProbe``.
      k: number of neighbours that voted.
      labels_pred: predicted classes of the test samples ``[m]``.
    """

    accuracy: float
    top5: float | None
    k: int
    labels_pred: np.ndarray


@in_float32
def linear_probe(
    train_features: Any,
    train_labels: Any,
    test_features: Any,
    test_labels: Any,
    *,
    l2: float | Sequence[float] = L2_GRID,
    seed: int = 0,
    standardize: bool = True,
) -> LinearProbe:
    """Multinomial logistic regression on frozen features.

    The features are scaled to mean 0 and variance 1 over the training part. L-BFGS minimises the mean
    cross-entropy plus ``l2 / 2`` times the squared weights (without the intercept), over all samples at once. Of
    several strengths, the one is selected whose classifier, fitted without a tenth of the training part, has the
    highest accuracy on that tenth (the largest strength on ties); then the whole training part is fitted. The test
    part is never used for this. In scikit-learn's terms, C is ``1 / (n * l2)``.

    Args:
      train_features: features ``[n, d]``, finite; computed in float32.
      train_labels: classes ``[n]`` with any values, at least two different ones.
      test_features: features ``[m, d]``.
      test_labels: classes ``[m]``, all of which occur in the training part.
      l2: strength of the L2 penalty, or several to select from.
      seed: random seed for the held-out tenth.
      standardize: False keeps the features unchanged, for features whose scale is meaningful, such as tf-idf:
        with few texts, a term that occurs in only one of them would otherwise get the largest weight.

    Returns:
      ``LinearProbe``.

    Raises:
      InputError: a ValueError that names the invalid argument.

    Example:
      >>> x, labels = [[0.0], [0.2], [1.0], [1.1]], ["low", "low", "high", "high"]
      >>> linear_probe(x, labels, [[0.1], [0.9]], ["low", "high"], l2=0.01).accuracy
      1.0
    """
    data = _checked(train_features, train_labels, test_features, test_labels)
    strengths = sorted({float(value) for value in np.atleast_1d(l2)}, reverse=True)
    if not strengths or not all(0 < value < np.inf for value in strengths):
        raise InputError(f"l2 must be above 0 and finite, but is {l2}")
    check_settings(seed=seed)
    n = len(data.train_labels)
    train, test = _standardize(data.train, data.test) if standardize else (data.train, data.test)
    everything, chosen = jnp.ones(n), strengths[0]
    parameters = (jnp.zeros((train.shape[1], len(data.classes))), jnp.zeros(len(data.classes)))
    if len(strengths) > 1:
        held_out = np.random.default_rng(seed).permutation(n)[: max(n // 10, 1)]
        fitted_on, best = everything.at[held_out].set(0.0), -1
        path, start = parameters, parameters
        for value in strengths:  # from the strongest on, each starting from the previous solution
            path, _ = _fit(path, train, data.train_labels, fitted_on, value)
            right = int(jnp.sum(jnp.where(fitted_on == 0, _right(path, train, data.train_labels), 0)))
            if right > best:
                best, chosen, start = right, value, path
        parameters = start
    parameters, converged = _fit(parameters, train, data.train_labels, everything, chosen)
    first = _first(_logits(parameters, test))
    accuracy, top5, labels_pred = _scores(first, data)
    return LinearProbe(accuracy, top5, chosen, labels_pred, bool(converged))


@in_float32
def knn_probe(
    train_features: Any,
    train_labels: Any,
    test_features: Any,
    test_labels: Any,
    *,
    k: int = 200,
    temperature: float = 0.07,
) -> KNNProbe:
    """Weighted vote of the nearest training samples (Wu et al., 2018, arXiv 1805.01978, section 3.4).

    Each of the ``k`` most similar training samples gives its class ``exp(cosine / temperature)``. Nothing is
    fitted or standardised.

    Args:
      train_features: features ``[n, d]``, finite; computed in float32.
      train_labels: classes ``[n]`` with any values, at least two different ones.
      test_features: features ``[m, d]``.
      test_labels: classes ``[m]``, all of which occur in the training part.
      k: number of neighbours that vote; all, if there are fewer.
      temperature: temperature of the votes, above 0; smaller values give the nearest more weight.

    Returns:
      ``KNNProbe``.

    Raises:
      InputError: a ValueError that names the invalid argument.

    Example:
      >>> x, labels = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], [3, 3, 8, 8]
      >>> print(knn_probe(x, labels, [[0.8, 0.3]], [3], k=2).labels_pred)
      [3]
    """
    check_settings(k=k, temperature=temperature)
    data = _checked(train_features, train_labels, test_features, test_labels)
    k, firsts = min(k, len(data.train_labels)), []
    for start in range(0, len(data.test), KNN_BLOCK):
        queries = data.test[start : start + KNN_BLOCK]
        found = cluster.nearest_neighbors(data.train, k, queries=queries)
        firsts.append(_first(_votes(found, data.train_labels, temperature, len(data.classes))))
    accuracy, top5, labels_pred = _scores(jnp.concatenate(firsts), data)
    return KNNProbe(accuracy, top5, k, labels_pred)


def stratified_half(labels: Any, *, seed: int = 0) -> np.ndarray:
    """Selects half of each class for training, if there is no test part.

    Args:
      labels: classes ``[n]``.
      seed: random seed of the selection.

    Returns:
      bool ``[n]``: True for the training half, which is one larger for a class of odd size.

    Example:
      >>> print(stratified_half(["a", "b", "a", "b"]).sum())
      2
    """
    rng, labels = np.random.default_rng(seed), np.asarray(labels)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: (len(rows) + 1) // 2]] = True
    return chosen


def check_settings(*, k: int = 1, temperature: float = 1.0, seed: int = 0) -> None:
    """Raises InputError for invalid settings, before features are computed.

    Example:
      >>> check_settings(k=200, temperature=0.07, seed=0)
    """
    integer("k", k, at_least=1)
    number("temperature", temperature, above=0)
    seed_of(seed)


class _Data(NamedTuple):
    """Features as float32 matrices, labels as indices into ``classes``."""

    train: jax.Array
    train_labels: jax.Array
    test: jax.Array
    test_labels: jax.Array
    classes: np.ndarray


def _checked(train_features, train_labels, test_features, test_labels) -> _Data:
    features = []
    for name, x in (("train_features", train_features), ("test_features", test_features)):
        x = jnp.asarray(x, jnp.float32)
        if x.ndim != 2 or 0 in x.shape:
            raise InputError(f"{name} must be a matrix [n, d] with samples in it, but its shape is {x.shape}")
        if not bool(jnp.all(jnp.isfinite(x))):
            raise InputError(f"{name} must be finite, but hold NaN or infinity")
        features.append(x)
    train, test = features
    if train.shape[1] != test.shape[1]:
        raise InputError(f"test_features have {test.shape[1]} columns, but train_features {train.shape[1]}")
    for name, labels, x in (("train_labels", train_labels, train), ("test_labels", test_labels, test)):
        if np.shape(labels) != (len(x),):
            raise InputError(f"{name} must be [{len(x)}], one per sample, but their shape is {np.shape(labels)}")
    classes, places = np.unique(np.asarray(train_labels), return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"a probe needs several classes, but the whole training part has class {classes[0]}")
    place_of = {label: place for place, label in enumerate(classes.tolist())}
    asked = np.asarray(test_labels).tolist()
    unknown = sorted({str(label) for label in asked if label not in place_of})
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise InputError(f"the test part has classes that are not in the training part: {shown}")
    test_places = jnp.asarray([place_of[label] for label in asked], jnp.int32)
    return _Data(train, jnp.asarray(places, jnp.int32), test, test_places, classes)


@jax.jit
def _standardize(train, test):
    """Scales both by the moments of the training part; a column that is constant there becomes 0."""
    mean = jnp.mean(train, axis=0, keepdims=True)
    std = jnp.std(train, axis=0, keepdims=True)
    scale = jnp.where(std > 1e-5 * jnp.abs(mean), 1 / jnp.where(std > 0, std, 1.0), 0.0)
    return (train - mean) * scale, (test - mean) * scale


@jax.jit
def _logits(parameters, x):
    weights, constant = parameters
    return jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST) + constant[None, :]


@jax.jit
def _fit(parameters, x, labels, sample_weights, l2):
    """The minimum found from ``parameters``, and whether it converged; samples with weight 0 are ignored."""
    share = sample_weights / jnp.sum(sample_weights)

    def objective(parameters):
        losses = optax.softmax_cross_entropy_with_integer_labels(_logits(parameters, x), labels)
        return jnp.sum(share * losses) + l2 / 2 * jnp.sum(parameters[0] ** 2)

    solver, value_and_grad = optax.lbfgs(), optax.value_and_grad_from_state(objective)

    def goes_on(carry):
        _, _, steepest, _, stalled, i = carry
        return (steepest > TOLERANCE) & (stalled < PATIENCE) & (i < N_ITERATIONS)

    def step(carry):
        parameters, state, _, lowest, stalled, i = carry
        value, gradient = value_and_grad(parameters, state=state)
        updates, state = solver.update(gradient, state, parameters, value=value, grad=gradient, value_fn=objective)
        parameters = optax.apply_updates(parameters, updates)
        stalled = jnp.where(value < lowest, 0, stalled + 1)
        return (
            parameters,
            state,
            optax.tree.norm(gradient, ord=jnp.inf),
            jnp.minimum(value, lowest),
            stalled,
            i + 1,
        )

    carry = (parameters, solver.init(parameters), jnp.inf, jnp.inf, 0, 0)
    parameters, *_, i = jax.lax.while_loop(goes_on, step, carry)
    return parameters, i < N_ITERATIONS


@jax.jit
def _right(parameters, x, labels):
    return jnp.argmax(_logits(parameters, x), axis=1) == labels


@functools.partial(jax.jit, static_argnames="n_classes")
def _votes(found, labels, temperature, n_classes):
    """Votes ``[q, n_classes]``, up to a factor per query that prevents overflow."""
    votes = jnp.exp((found.similarities - found.similarities[:, :1]) / temperature)
    rows = jnp.arange(votes.shape[0])[:, None]
    return jnp.zeros((votes.shape[0], n_classes)).at[rows, labels[found.indices]].add(votes)


@jax.jit
def _first(scores):
    """Indices of the five highest classes, or of all if there are fewer."""
    return jax.lax.top_k(scores, min(scores.shape[1], 5))[1]


def _scores(first, data):
    """Accuracy, top-5 accuracy, and the top class of each sample."""
    right = np.asarray(first) == np.asarray(data.test_labels)[:, None]
    top5 = float(right.any(axis=1).mean()) if len(data.classes) > 5 else None
    return float(right[:, 0].mean()), top5, data.classes[np.asarray(first[:, 0])]
