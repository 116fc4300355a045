"""The prior of VaDE against numbers by hand, scikit-learn's mixture, and a Monte Carlo estimate."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.mixture import GaussianMixture

from jaxdc.losses import mixture_assignment, mixture_kl

ONE, MEANS, UNIT, EVEN = jnp.array([[1.0]]), jnp.array([[1.0], [-1.0]]), jnp.zeros((2, 1)), jnp.zeros(2)


def test_two_components_by_hand():
    gamma = 1 / (1 + np.exp(-2.0))  # the densities at 1 differ by exp(-(1 + 1)^2 / 2)
    np.testing.assert_allclose(mixture_assignment(ONE, MEANS, UNIT, EVEN), [[gamma, 1 - gamma]], rtol=1e-6)
    np.testing.assert_allclose(mixture_assignment(ONE, MEANS, UNIT, EVEN), [[0.8808, 0.1192]], atol=1e-4)
    # gamma (1 + 0) / 2 + (1 - gamma) (1 + 4) / 2 - 1 / 2 + KL(gamma || 1/2)
    away = gamma / 2 + (1 - gamma) * 5 / 2 - 1 / 2
    expected = away + gamma * np.log(2 * gamma) + (1 - gamma) * np.log(2 * (1 - gamma))
    np.testing.assert_allclose(mixture_kl(ONE, ONE, jnp.zeros((1, 1)), MEANS, UNIT, EVEN), [expected], rtol=1e-5)
    np.testing.assert_allclose(expected, 0.5662, atol=1e-4)


def components(k=3, d=4):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(k, d)).astype(np.float32),
        rng.normal(size=(k, d)).astype(np.float32),  # variances differ by much
        np.log(rng.dirichlet(np.ones(k))).astype(np.float32),
    )


def test_gamma_is_the_posterior_of_a_mixture():
    centroids, log_variances, logits = components()
    mixture = GaussianMixture(3, covariance_type="diag")
    mixture.weights_, mixture.means_ = np.exp(logits), centroids
    mixture.covariances_ = np.exp(log_variances)
    mixture.precisions_cholesky_ = np.exp(-0.5 * log_variances)
    z = np.random.default_rng(1).normal(scale=2, size=(20, 4)).astype(np.float32)
    expected = mixture.predict_proba(z)
    np.testing.assert_allclose(mixture_assignment(z, centroids, log_variances, logits), expected, atol=1e-5)
    # A constant in the logits means nothing.
    np.testing.assert_allclose(mixture_assignment(z, centroids, log_variances, logits + 3), expected, atol=1e-5)


def test_far_away_the_nearest_component_is_left():
    """Densities there are 0 in float32, and their ratio would be of rounding."""
    q = mixture_assignment(jnp.array([[60.0]]), MEANS, UNIT, EVEN)
    np.testing.assert_allclose(q, [[1.0, 0.0]], atol=1e-6)


def test_with_one_component_it_is_the_divergence_of_two_gaussians():
    centroids, log_variances, _ = components(1)
    mean, log_variance = jnp.array([[0.3, -1.0, 0.5, 2.0]]), jnp.array([[0.2, -0.4, 0.0, -1.0]])
    noise = jax.random.normal(jax.random.key(0), (200_000, 4))
    z = mean + jnp.exp(0.5 * log_variance) * noise
    log_q = -0.5 * (noise**2 + log_variance)
    log_p = -0.5 * ((z - centroids) ** 2 * np.exp(-log_variances) + log_variances)
    kl = mixture_kl(z[:1], mean, log_variance, centroids, log_variances, jnp.zeros(1))
    np.testing.assert_allclose(kl[0], jnp.sum(log_q - log_p, axis=1).mean(), rtol=0.01)
    # Of a Gaussian with itself it is 0.
    same = mixture_kl(centroids, centroids, log_variances, centroids, log_variances, jnp.zeros(1))
    np.testing.assert_allclose(same, 0.0, atol=1e-5)


def test_the_gradient_flows_through_gamma():
    """VaDE's code differentiates gamma with respect to the draw; held fixed, z would have no gradient at all."""

    def kl(z):
        return mixture_kl(z, ONE, jnp.zeros((1, 1)), MEANS, UNIT, EVEN)[0]

    # With costs c = (1/2, 5/2) of the components: gamma (1 - gamma) 2 (c_1 - c_2 + log(gamma / (1 - gamma))),
    # where the last is 2: the costs differ by what the densities at z = 1 do, so that it is 0 there.
    np.testing.assert_allclose(jax.grad(kl)(ONE), [[0.0]], atol=1e-6)
    gamma = 1 / (1 + np.exp(-4.0))
    expected = gamma * (1 - gamma) * 2 * (0.5 - 2.5 + 4.0)
    np.testing.assert_allclose(jax.grad(kl)(2 * ONE), [[expected]], rtol=1e-4)
