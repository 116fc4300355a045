"""A mixture of Gaussians, fitted by expectation and maximisation as one jitted program."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from jaxdc.cluster import _checks
from jaxdc.cluster._blocks import PRECISION, TIE, origin_of
from jaxdc.cluster.kmeans import k_means


class MixtureResult(NamedTuple):
    """The best of the ``n_init`` runs."""

    probabilities: Float[Array, "n k"]
    means: Float[Array, "k d"]
    covariances: Float[Array, "k d d"]
    weights: Float[Array, " k"]
    log_likelihood: Float[Array, ""]
    n_iterations: Int[Array, ""]


class _Parameters(NamedTuple):
    means: Float[Array, "k d"]
    covariances: Float[Array, "k d d"]
    weights: Float[Array, " k"]


def gaussian_mixture(
    key: jax.Array,
    x: Real[Array, "n d"],
    n_clusters: int,
    *,
    n_init: int = 1,
    n_iterations: int = 100,
    tolerance: float = 1e-3,
    ridge: float = 0.01,
) -> MixtureResult:
    """Fits a mixture of Gaussians, each with a mean, a full covariance and a weight.

    Expectation-maximisation (Dempster, Laird and Rubin, 1977; Bishop, 2006, section 9.2.2). A run begins with the
    clusters of one run of k-means, and the run with the highest likelihood is kept. Where k-means takes all
    clusters for balls of one size, a mixture finds long ones beside small ones.

    Memory in addition to ``x``: a few float32 copies of it, and matrices ``[n, k]``. An iteration takes about
    ``2 n k d^2`` multiplications. Samples that are sharded over their rows stay in place.

    Args:
      key: a ``jax.random.key``; the same key gives the same clusters.
      x: samples ``[n, d]``, in any unit; computed in float32. They must be finite: NaN spreads.
      n_clusters: number of Gaussians k, from 1 to n.
      n_init: number of runs from different seeds; a later run must raise the likelihood by a share of 1e-5
        to win.
      n_iterations: maximum number of iterations per run.
      tolerance: a run ends when an iteration raises the mean log-likelihood by less than this.
      ridge: added to the diagonal of each covariance, as a share of the mean variance of the features, so that
        none collapses onto a few samples or a plane; above 0.

    Returns:
      ``MixtureResult``: probabilities ``[n, k]`` of each sample's Gaussian, means ``[k, d]``, covariances
      ``[k, d, d]``, weights ``[k]``, which sum to 1, the mean of the samples' log-likelihoods, and the number of
      iterations of the run that was kept.

    Raises:
      ValueError: ``x`` is not a numeric matrix, k is not from 1 to n, or a number is out of range.

    Example:
      >>> x = jnp.array([[0.0], [0.1], [5.0], [5.1]])
      >>> print(gaussian_mixture(jax.random.key(0), x, 2).weights)
      [0.5 0.5]
    """
    x = _checks.matrix("x", x)
    _checks.within("n_clusters", n_clusters, 1, x.shape[0], "(the number of samples)")
    for name, value in (("n_init", n_init), ("n_iterations", n_iterations)):
        _checks.at_least(name, value, 1)
    _checks.at_least("tolerance", tolerance, 0.0)
    if isinstance(ridge, int | float) and not ridge > 0:
        raise ValueError(f"ridge must be above 0, but is {ridge}")
    return _gaussian_mixture(key, x, n_iterations, tolerance, ridge, n_clusters, n_init)


@functools.partial(jax.jit, static_argnames=("n_clusters", "n_init"))
def _gaussian_mixture(key, x, n_iterations, tolerance, ridge, n_clusters, n_init):
    x = x.astype(jnp.float32)
    origin = origin_of(x)
    x = x - origin[None, :]
    # Samples that are all alike have a likelihood too.
    added = ridge * jnp.maximum(jnp.mean(jnp.var(x, axis=0)), jnp.finfo(x.dtype).tiny / ridge)

    def run(best, run_key):
        labels = k_means(run_key, x, n_clusters).labels
        result = _fit(x, jax.nn.one_hot(labels, n_clusters), added, n_iterations, tolerance)
        likelihood = result.log_likelihood
        better = likelihood - best.log_likelihood > TIE * jnp.abs(likelihood)
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), result, best), None

    n, d = x.shape
    worst = MixtureResult(
        jnp.zeros((n, n_clusters)),
        jnp.zeros((n_clusters, d)),
        jnp.zeros((n_clusters, d, d)),
        jnp.zeros(n_clusters),
        jnp.array(-jnp.inf),
        jnp.array(0),
    )
    best, _ = jax.lax.scan(run, worst, jax.random.split(key, n_init))
    return best._replace(means=best.means + origin[None, :])


def _fit(x, probs, added, n_iterations, tolerance):
    """Alternates between the parameters and the probabilities, from given probabilities."""

    def step(state):
        probs, _, now, i = state
        parameters = _maximisation(x, probs, added)
        probs, likelihood = _expectation(x, parameters)
        return probs, now, likelihood, i + 1

    def goes_on(state):
        _, before, now, i = state
        return (i < n_iterations) & ~(now - before < tolerance)

    state = (probs, jnp.array(-jnp.inf), jnp.array(-jnp.inf), jnp.array(0))
    state = jax.lax.while_loop(goes_on, step, step(state))
    probs, _, likelihood, i = state
    return MixtureResult(probs, *_maximisation(x, probs, added), likelihood, i)


def _maximisation(x, probs, added):
    counts = jnp.maximum(jnp.sum(probs, axis=0), 10 * jnp.finfo(x.dtype).eps)
    means = jnp.matmul(probs.T, x, precision=PRECISION) / counts[:, None]

    def covariance(mean, weight, count):
        centred = x - mean[None, :]
        return jnp.matmul((centred * weight[:, None]).T, centred, precision=PRECISION) / count

    covariances = jax.lax.map(lambda each: covariance(*each), (means, probs.T, counts))
    covariances = covariances + added * jnp.eye(x.shape[1], dtype=x.dtype)[None]
    return _Parameters(means, covariances, counts / jnp.sum(counts))


def _expectation(x, parameters):
    """Probabilities ``[n, k]``, and the mean log-likelihood."""

    def log_density(mean, covariance, weight):
        root = jnp.linalg.cholesky(covariance)
        white = jax.scipy.linalg.solve_triangular(root, (x - mean[None, :]).T, lower=True)
        log_volume = jnp.sum(jnp.log(jnp.diagonal(root)))
        return jnp.log(weight) - log_volume - 0.5 * jnp.sum(white**2, axis=0)

    joint = jax.lax.map(lambda each: log_density(*each), tuple(parameters)).T
    likelihoods = jax.nn.logsumexp(joint, axis=1)
    constant = 0.5 * x.shape[1] * math.log(2 * math.pi)
    return jnp.exp(joint - likelihoods[:, None]), jnp.mean(likelihoods) - constant
