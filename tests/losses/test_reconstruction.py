import jax
import jax.numpy as jnp
import numpy as np
from sklearn.metrics import log_loss, mean_squared_error

from jaxdc.losses import binary_cross_entropy, gaussian_kl, squared_error


def test_squared_error_of_images_is_the_mse_of_each():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 4, 3)), rng.normal(size=(5, 4, 4, 3))
    expected = [mean_squared_error(a.ravel(), b.ravel()) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(squared_error(x, y), expected, rtol=1e-5)


def test_binary_cross_entropy_is_the_log_loss_of_each_feature():
    rng = np.random.default_rng(1)
    x, logits = rng.integers(0, 2, size=(3, 5)), rng.normal(size=(3, 5))
    expected = [log_loss(a, 1 / (1 + np.exp(-b)), labels=[0, 1]) for a, b in zip(x, logits, strict=True)]
    np.testing.assert_allclose(binary_cross_entropy(x.astype(np.float32), logits), expected, rtol=1e-5)
    # Values between 0 and 1 weigh the two; and where a probability rounds to 1, the loss is still its logit.
    np.testing.assert_allclose(
        binary_cross_entropy(jnp.array([[0.25, 0.0]]), jnp.array([[0.0, 200.0]])), 100.35, rtol=1e-4
    )


def test_gaussian_kl_against_a_monte_carlo_estimate():
    mean, log_variance = jnp.array([[0.5, -1.0]]), jnp.array([[0.3, -0.7]])
    std = jnp.exp(0.5 * log_variance)
    z = mean + std * jax.random.normal(jax.random.key(0), (200_000, 2))
    log_ratio = -0.5 * (((z - mean) / std) ** 2 + log_variance) + 0.5 * z**2
    np.testing.assert_allclose(gaussian_kl(mean, log_variance)[0], log_ratio.sum(1).mean(), rtol=0.01)
    np.testing.assert_allclose(gaussian_kl(jnp.zeros((2, 3)), jnp.zeros((2, 3))), 0.0)
