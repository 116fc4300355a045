import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import fit
from jaxdc.methods import AE, VAE, DataSpec
from jaxdc.methods.autoencoder import StackedLayer, dropout
from jaxdc.methods.base import Experiment, Stage

SPEC = DataSpec((6,), 8)


def test_dropout_keeps_the_mean_and_the_rate():
    x = jnp.ones((200, 200))
    dropped = dropout(jax.random.key(0), x, 0.2)
    np.testing.assert_allclose((dropped == 0).mean(), 0.2, atol=0.01)
    np.testing.assert_allclose(dropped.mean(), 1.0, atol=0.01)
    assert dropout(jax.random.key(0), x, 0.0) is x


def test_a_denoising_autoencoder_reconstructs_the_clean_sample():
    method = AE(n_clusters=2, hidden=(4,), latent=2, corruption=0.5)
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.normal(jax.random.key(1), (8, 6))
    key = jax.random.key(2)
    loss, _ = method.loss(model, aux, {"x": x, "index": jnp.arange(8)}, key)
    corrupted = dropout(jax.random.split(key)[1], x, 0.5)
    output = model.decoder(model.encoder.mlp(corrupted))
    np.testing.assert_allclose(loss, ((output - x) ** 2).mean(), rtol=1e-5)


@pytest.mark.full
def test_a_stacked_layer_trains_itself_and_its_mirror_only():
    for layer in range(3):
        method = StackedLayer(n_clusters=2, hidden=(5, 4), latent=3, layer=layer, dropout=0.2)
        model, aux = method.init(jax.random.key(0), SPEC)
        graphdef, params, rest = nnx.split(model, nnx.Param, ...)

        def loss(params, method=method, graphdef=graphdef, rest=rest, aux=aux):
            model = nnx.merge(graphdef, params, rest)
            x = jax.random.normal(jax.random.key(1), (8, 6))
            return method.loss(model, aux, {"x": x, "index": jnp.arange(8)}, jax.random.key(2))[0]

        gradient = jax.grad(loss)(params)
        moved = {
            "encoder": [
                i for i in range(3) if np.abs(gradient["encoder"]["mlp"]["layers"][i]["kernel"][...]).max() > 0
            ],
            "decoder": [i for i in range(3) if np.abs(gradient["decoder"]["layers"][i]["kernel"][...]).max() > 0],
        }
        assert moved == {"encoder": [layer], "decoder": [2 - layer]}


def test_a_stacked_layer_without_dropout_is_a_plain_autoencoder_of_one_layer():
    method = StackedLayer(n_clusters=2, hidden=(5,), latent=3, layer=1, dropout=0.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.normal(jax.random.key(1), (8, 6))
    loss, _ = method.loss(model, aux, {"x": x, "index": jnp.arange(8)}, jax.random.key(2))
    below = model.encoder.mlp.apply(x, 0, 1)
    code = model.encoder.mlp.layers[1](below)
    # The mirror of the last encoder layer is the first of the decoder, which has a ReLU.
    output = nnx.relu(model.decoder.layers[0](code))
    np.testing.assert_allclose(loss, ((output - below) ** 2).mean(), rtol=1e-5)


@pytest.mark.full
def test_the_paper_recipe_runs_through_all_its_stages(digits, one_device):
    """Shortened: that each stage takes over what the one before has learned."""
    stages = AE(n_clusters=10, hidden=(32,), latent=5).stages("paper", DataSpec((8, 8, 1), 1797))
    short = tuple(Stage(method=s.method, steps=150, optimizer=s.optimizer) for s in stages)
    result = fit(Experiment(short), digits, devices=one_device)
    first, second, whole = (
        [r["loss"] for r in result.history if r["stage"] == i and "loss" in r] for i in (1, 2, 3)
    )
    assert first[-1] < first[0]
    assert 0 < second[-1] < second[0]
    assert whole[-1] < 0.9  # of the data's mean square, where an untrained network has 1


def test_vae_loss_is_the_bound_per_feature():
    method = VAE(n_clusters=2, hidden=(4,), latent=2, variance=0.5)
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.normal(jax.random.key(1), (8, 6))
    loss, (_, metrics) = method.loss(model, aux, {"x": x, "index": jnp.arange(8)}, jax.random.key(2))
    np.testing.assert_allclose(loss, metrics["reconstruction"] + metrics["kl"] / 6, rtol=1e-5)
    mean, log_variance = jnp.split(model.encoder(x), 2, axis=1)
    expected = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum(1).mean()
    np.testing.assert_allclose(metrics["kl"], expected, rtol=1e-5)
    np.testing.assert_allclose(method.embed(model, aux, {"x": x}), mean, rtol=1e-6)
