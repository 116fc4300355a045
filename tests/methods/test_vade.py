"""One step of VaDE against NumPy, its first mixture, what it takes over and what it draws."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax, logsumexp

from jaxdc import fit
from jaxdc.data import ArraySource
from jaxdc.methods import AE, DataSpec, VaDE
from jaxdc.methods.base import Experiment, Stage

RMS = 0.5
SPEC = DataSpec((2,), 4, RMS)
X = np.array([[0.1, 0.9], [0.4, 0.2], [1.0, 0.0], [0.6, 0.5]], np.float32)
KEY = jax.random.key(3)


def tiny(**settings):
    """A model without hidden layers, with weights of our own."""
    method = VaDE(n_clusters=3, hidden=(), latent=2, **settings)
    model, aux = method.init(jax.random.key(0), SPEC)
    rng = np.random.default_rng(0)
    for part in (model.encoder.mlp, model.variance, model.decoder):
        part.layers[0].kernel[...] = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32)
        part.layers[0].bias[...] = jnp.asarray(rng.normal(size=2), jnp.float32)
    model.centroids[...] = jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)
    model.log_variances[...] = jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)
    model.logits[...] = jnp.asarray(rng.normal(size=3), jnp.float32)
    return method, model, aux


def linear(mlp, x):
    return x @ np.asarray(mlp.layers[0].kernel[...]) + np.asarray(mlp.layers[0].bias[...])


def by_numpy(model, x, likelihood, weight):
    """The paper's loss of each sample, term by term: equation (12) with a single draw."""
    noise = np.asarray(jax.random.normal(jax.random.split(KEY)[1], (len(x), 2)))
    scaled = x / RMS
    mean, log_variance = linear(model.encoder.mlp, scaled), linear(model.variance, scaled)
    z = mean + np.exp(log_variance / 2) * noise
    decoded = linear(model.decoder, z)
    if likelihood == "bernoulli":
        p = expit(decoded)
        reconstruction = -np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=1)
    else:
        reconstruction = np.sum((scaled - decoded) ** 2, axis=1)
    mu, log_s2, logits = (np.asarray(one) for one in model.mixture())
    log_pi = log_softmax(logits)
    joint = log_pi + np.stack(
        [
            -0.5 * np.sum(np.log(2 * np.pi) + v + (z - m) ** 2 / np.exp(v), axis=1)
            for m, v in zip(mu, log_s2, strict=True)
        ],
        axis=1,
    )
    log_gamma = joint - logsumexp(joint, axis=1, keepdims=True)
    gamma = np.exp(log_gamma)
    kl = np.zeros(len(x))
    for c in range(3):
        inner = log_s2[c] + np.exp(log_variance - log_s2[c]) + (mean - mu[c]) ** 2 / np.exp(log_s2[c])
        kl += gamma[:, c] * (0.5 * inner.sum(axis=1) + log_gamma[:, c] - log_pi[c])
    kl -= 0.5 * np.sum(1 + log_variance, axis=1)
    return weight * reconstruction + kl, reconstruction / 2, kl


@pytest.mark.parametrize(("likelihood", "weight"), [("bernoulli", 1.0), ("gaussian", 5.0)])
def test_the_loss_is_that_of_the_paper(likelihood, weight):
    method, model, aux = tiny(likelihood=likelihood, weight=weight)
    loss, (_, metrics) = method.loss(model, aux, {"x": X, "index": jnp.arange(4)}, KEY)
    total, per_feature, kl = by_numpy(model, X, likelihood, weight)
    np.testing.assert_allclose(loss, total.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["reconstruction"], per_feature.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["kl"], kl.mean(), rtol=1e-4)


def test_the_first_refresh_fits_a_mixture_and_no_other_does():
    method, model, aux = tiny()
    rng = np.random.default_rng(1)
    means = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 9.0]])
    stds = np.array([[0.1, 1.0], [1.0, 0.1], [0.5, 0.5]])
    sizes = (100, 200, 50)
    x = np.concatenate([rng.normal(m, s, size=(n, 2)) for m, s, n in zip(means, stds, sizes, strict=True)])
    model.logits[...] = jnp.zeros(3)  # as init leaves them
    model, aux = method.refresh(model, aux, jnp.asarray(x, jnp.float32), KEY)
    order = [int(np.argmin(((np.asarray(model.centroids[...]) - m) ** 2).sum(1))) for m in means]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(model.centroids[...][jnp.array(order)], means, atol=0.3)
    np.testing.assert_allclose(jnp.exp(0.5 * model.log_variances[...][jnp.array(order)]), stds, rtol=0.25)
    # The clusters begin with equal weights, though their sizes differ.
    np.testing.assert_array_equal(model.logits[...], 0.0)
    learnt = np.asarray(model.centroids[...])
    model, aux = method.refresh(model, aux, jnp.asarray(x[::-1] + 5, jnp.float32), KEY)
    np.testing.assert_array_equal(model.centroids[...], learnt)


@pytest.mark.full
def test_draws_are_of_the_clusters_gaussian_and_decoded():
    method, model, aux = tiny(likelihood="gaussian")
    clusters = jnp.repeat(jnp.array([2, 0]), 20_000)
    x = np.asarray(method.generate(model, aux, clusters, KEY))
    kernel = np.asarray(model.decoder.layers[0].kernel[...], np.float64)
    for c, drawn in ((2, x[:20_000]), (0, x[20_000:])):
        variance = np.diag(np.exp(np.asarray(model.log_variances[...])[c]))
        mean = linear(model.decoder, np.asarray(model.centroids[...])[c])
        spread = RMS**2 * kernel.T @ variance @ kernel
        np.testing.assert_allclose(drawn.mean(axis=0), RMS * mean, atol=0.03 * np.sqrt(spread.max()))
        np.testing.assert_allclose(np.cov(drawn.T), spread, atol=0.04 * spread.max())
    method, model, aux = tiny(likelihood="bernoulli")
    model.log_variances[...] = jnp.full((3, 2), -60.0)
    x = method.generate(model, aux, jnp.array([1]), KEY)
    np.testing.assert_allclose(x[0], expit(linear(model.decoder, np.asarray(model.centroids[...])[1])), rtol=1e-5)


@pytest.mark.full
def test_the_autoencoder_before_gives_the_means_and_the_decoder(one_device):
    x = np.random.default_rng(0).integers(0, 256, size=(32, 4, 4, 1)).astype(np.uint8)
    small = {"n_clusters": 3, "hidden": (8,), "latent": 2}
    first = Stage(method=AE(**small, likelihood="bernoulli"), steps=3, batch_size=16)
    last = Stage(method=VaDE(**small), steps=0, batch_size=16)
    before = fit(Experiment((first,)), x, devices=one_device)
    result = fit(Experiment((first, last)), x, devices=one_device)
    np.testing.assert_allclose(result.embeddings, before.embeddings, rtol=1e-5, atol=1e-6)
    # A stage of no length has the mixture that was fitted to these means.
    assert len(np.unique(result.labels)) > 1


def test_recipes():
    images, table = DataSpec((28, 28, 1), 70_000, dtype="uint8"), DataSpec((784,), 70_000)
    method = VaDE(n_clusters=10)
    autoencoder, vade = method.stages("fast", images)
    assert autoencoder.method.likelihood == vade.method.likelihood == "bernoulli"
    assert [stage.method.likelihood for stage in method.stages("fast", table)] == ["gaussian", "gaussian"]
    *stacked, vade = method.stages("paper", images)
    assert len(stacked) == 5 and stacked[-1].method.likelihood == "bernoulli"
    assert (vade.epochs, vade.batch_size) == (3000, 100)
    adam = vade.optimizer
    assert (adam.learning_rate, adam.epsilon, adam.decay_factor, adam.lowest_rate) == (2e-3, 1e-4, 0.9, 2e-4)
    assert adam.decay_every_epochs == 10
    told = dataclasses.replace(method, likelihood="gaussian").stages("fast", images)
    assert [stage.method.likelihood for stage in told] == ["gaussian", "gaussian"]


def test_a_bernoulli_autoencoder_learns_the_values_themselves():
    method = AE(n_clusters=2, hidden=(), latent=2, likelihood="bernoulli")
    model, aux = method.init(jax.random.key(0), SPEC)
    loss, _ = method.loss(model, aux, {"x": X, "index": jnp.arange(4)}, KEY)
    p = expit(linear(model.decoder, linear(model.encoder.mlp, X / RMS)))
    np.testing.assert_allclose(loss, -np.mean(X * np.log(p) + (1 - X) * np.log(1 - p)), rtol=1e-5)


@pytest.mark.full
@pytest.mark.optimized
def test_it_separates_what_a_mixture_can(one_device):
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = np.clip(rng.normal(0.15 + 0.6 * np.eye(3)[y][:, [0, 1, 2, 0, 1, 2, 0, 1, 2]], 0.1), 0, 1)
    source = ArraySource((255 * x).astype(np.uint8).reshape(-1, 3, 3, 1), y)
    method = VaDE(n_clusters=3, hidden=(32,), latent=2)
    stages = [
        dataclasses.replace(stage, steps=300, batch_size=60)
        for stage in method.stages("fast", SPEC._replace(dtype="uint8"))
    ]
    result = fit(Experiment(tuple(stages)), source, seed=0, devices=one_device)
    assert result.metrics["acc"] > 0.95
    drawn = result.sample([int(result.labels[0])] * 50, seed=1)
    assert drawn.dtype == np.uint8 and drawn.shape == (50, 3, 3, 1)
    # What is drawn of a cluster falls into it.
    assert np.mean(result.predict(drawn) == result.labels[0]) > 0.9


@pytest.mark.full
def test_samples_around_an_offset_are_scaled_as_by_the_autoencoder_before():
    spec = DataSpec((6,), 20, rms=0.2, offset=0.5)
    method = VaDE(n_clusters=2, hidden=(8,), latent=3, likelihood="gaussian")
    model, aux = method.init(jax.random.key(0), spec)
    before, _ = method.stages("fast", spec)[0].method.init(jax.random.key(0), spec)
    x = jax.random.uniform(jax.random.key(1), (4, 6))
    np.testing.assert_array_equal(model.encoder.flatten(x), before.encoder.flatten(x))
    np.testing.assert_allclose(model.encoder.flatten(x), (x - 0.5) / 0.2, rtol=1e-5)
    for layer in model.decoder.layers:
        layer.kernel[...], layer.bias[...] = 0 * layer.kernel[...], 0 * layer.bias[...]
    np.testing.assert_allclose(method.generate(model, aux, jnp.array([0, 1]), jax.random.key(2)), 0.5)
