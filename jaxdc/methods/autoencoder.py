"""Autoencoders, as clustering baselines and as pre-training for other methods.

``AE``, ``DAE`` and ``VAE`` followed by k-means on the code are the standard baselines of the literature.
``StackedLayer`` is the greedy pre-training of DEC (Xie et al., 2016, arXiv 1511.06335, section 3.2.1), which
goes back to Vincent et al., 2010.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses, nn
from jaxdc.methods.base import (
    DataSpec,
    Method,
    Optimizer,
    Stage,
    check_image_shape,
    fast_steps,
    field,
    register,
    restarts,
)
from jaxdc.methods.parts.k_means import best_k_means

RECIPES = ("fast", "long", "sgd", "paper")  # also for the methods that start with an autoencoder


def make_encoder(
    method: Any, spec: DataSpec, rngs: nnx.Rngs, *, code: int | None = None, weight_std: float | None = None
) -> nn.Encoder:
    """The encoder of an autoencoder, and of what goes on from one: both scale the samples alike."""
    scaling = {"rms": spec.rms, "offset": spec.offset}
    width = method.latent if code is None else code
    return nn.Encoder(spec.shape, method.hidden, width, **scaling, weight_std=weight_std, rngs=rngs)


class _Network(nnx.Module):
    def __init__(self, method: Any, code: int, spec: DataSpec, rngs: nnx.Rngs):
        sizes = (math.prod(spec.shape), *method.hidden, method.latent)
        self.encoder = make_encoder(method, spec, rngs, code=code, weight_std=method.weight_std)
        self.decoder = nn.MLP(sizes[::-1], weight_std=method.weight_std, rngs=rngs)


def dropout(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    """Sets a share ``rate`` of the values to 0 and scales up the others to keep the mean."""
    if rate == 0.0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), 0.0)


def reconstruction(model: Any, x: jax.Array, z: jax.Array, likelihood: str | None) -> jax.Array:
    """What it costs to decode samples [b, ...] from codes [b, latent], averaged over the features: [b]."""
    if likelihood == "bernoulli":
        return losses.binary_cross_entropy(x.reshape(x.shape[0], -1), model.decoder(z))
    return losses.squared_error(model.encoder.flatten(x), model.decoder(z))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Autoencoder(Method):
    """Shared by the three autoencoders: a code, k-means on it at the end, and the recipes.

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder mirrors them.
      latent: width of the code.
      weight_std: standard deviation of the initial weights; None uses the default of ``nn.MLP``.
      augment: train on randomly rotated and shifted images (needs images).
      n_init: k-means runs; the best is kept.
    """

    hidden: tuple[int, ...] = field((500, 500, 2000), at_least=1)
    latent: int = field(10, at_least=1)
    weight_std: float | None = field(None, above=0)
    augment: bool = False
    n_init: int = restarts(20)

    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = RECIPES

    def init(self, key, spec):
        if self.augment:
            check_image_shape(spec, "augmentation")
        model = _Network(self, self._code_width(), spec, nnx.Rngs(key))
        return model, {"centroids": jnp.zeros((self.n_clusters, self.latent))}

    def _code_width(self) -> int:
        return self.latent

    def refresh(self, model, aux, features, key):
        result = best_k_means(key, features, self.n_clusters, n_init=self.n_init)
        return model, {"centroids": result.centroids}

    def assign(self, model, aux, features):
        return losses.student_t_assignment(features, aux["centroids"])

    def stages(self, recipe, spec):
        return pretraining(self, recipe, spec)


@register("ae_kmeans", "autoencoder", variants={"dae_kmeans": {"corruption": 0.2}})
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class AE(_Autoencoder):
    """Autoencoder + k-means: reconstruct, then cluster the code.

    Attributes:
      corruption: share of the input values set to 0 before encoding (0 for a plain autoencoder).
      likelihood: what the decoder gives: "gaussian", the values themselves, learnt by their squared error, or
        "bernoulli", the logits of values from 0 to 1, learnt by their cross-entropy; None: gaussian.
    """

    corruption: float = field(0.0, at_least=0, below=1)
    likelihood: Literal["gaussian", "bernoulli"] | None = None

    def loss(self, model, aux, batch, key):
        view_key, corruption_key = jax.random.split(key)
        x = augment.random_rotate_shift(view_key, batch["x"]) if self.augment else batch["x"]
        z = model.encoder.mlp(dropout(corruption_key, model.encoder.flatten(x), self.corruption))
        loss = jnp.mean(reconstruction(model, x, z, self.likelihood))
        return loss, (aux, {"reconstruction": loss})


@register("vae_kmeans", "autoencoder")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class VAE(_Autoencoder):
    """Variational autoencoder + k-means on the posterior means (Kingma and Welling, 2014, arXiv 1312.6114).

    The likelihood is a Gaussian of fixed variance in units of the data's mean square.

    Attributes:
      variance: variance of that Gaussian; smaller values weigh the reconstruction more.
    """

    variance: float = field(0.1, above=0)

    def _code_width(self):
        return 2 * self.latent

    def loss(self, model, aux, batch, key):
        view_key, noise_key = jax.random.split(key)
        x = augment.random_rotate_shift(view_key, batch["x"]) if self.augment else batch["x"]
        x = model.encoder.flatten(x)
        mean, log_variance = jnp.split(model.encoder.mlp(x), 2, axis=1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(noise_key, mean.shape)
        d = x.shape[1]
        reconstruction = jnp.mean(losses.squared_error(x, model.decoder(z)))
        kl = jnp.mean(losses.gaussian_kl(mean, log_variance))
        # Averaged over features, so that the learning rate does not depend on the size of a sample.
        loss = 0.5 * reconstruction / self.variance + kl / d
        return loss, (aux, {"reconstruction": reconstruction, "kl": kl})

    def embed(self, model, aux, batch):
        return jnp.split(model.encoder(batch["x"]), 2, axis=1)[0]


@register("stacked_layer", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class StackedLayer(_Autoencoder):
    """Trains one layer of the encoder and its mirror image in the decoder as a denoising autoencoder.

    The input is a sample after the layers below; a share of it is dropped, and so is a share of the code:
    ``y = g2(W2 Dropout(g1(W1 Dropout(x))))``. The loss ``|x - y|^2`` is averaged over the features, as
    everywhere in jaxdc: with a sum, the paper's learning rate of 0.1 kills the first ReLU layer.

    Attributes:
      layer: index of the layer, from 0 at the input.
      dropout: share of values dropped, 0.2 in DEC.
    """

    layer: int = field(0, at_least=0)
    dropout: float = field(0.2, at_least=0, below=1)

    def loss(self, model, aux, batch, key):
        view_key, input_key, code_key = jax.random.split(key, 3)
        x = augment.random_rotate_shift(view_key, batch["x"]) if self.augment else batch["x"]
        below = model.encoder.mlp.apply(model.encoder.flatten(x), 0, self.layer)
        below = jax.lax.stop_gradient(below)
        code = model.encoder.mlp.apply(dropout(input_key, below, self.dropout), self.layer, self.layer + 1)
        mirror = len(self.hidden) - self.layer
        output = model.decoder.apply(dropout(code_key, code, self.dropout), mirror, mirror + 1)
        loss = jnp.mean(losses.squared_error(below, output))
        return loss, (aux, {"reconstruction": loss})


def pretraining(method: Any, recipe: str, spec: DataSpec) -> tuple[Stage, ...]:
    """The stages that end with ``method``, an autoencoder; also used before DEC and IDEC.

    ``"fast"`` trains the whole autoencoder at once with Adam. ``"long"`` takes four times as many steps, with
    cosine decay. ``"sgd"`` takes twice as many steps as ``"fast"``, with SGD and momentum, and no noise unless
    requested; a later port of DEC trains like this for 300 epochs, at a rate of 1 on values that are not divided
    by their rms. ``"paper"`` trains layer by layer with SGD, 50,000 steps each, then the whole for 100,000 steps,
    and divides the learning rate by 10 every 20,000.
    """
    method.check_recipe(recipe)
    if recipe != "paper":
        # Digits, seed 100: k-means reaches 0.82 on a code trained on rotated images for 3,000 steps, 0.94 after
        # 7,000 and 0.95 after 14,000.
        at_least = 6800 if method.augment else 750
        steps = fast_steps(spec, epochs=25, at_least=at_least)
        if recipe == "long":
            return (Stage(method=method, steps=4 * steps, optimizer=Optimizer(cosine=True)),)
        if recipe == "sgd":
            return (Stage(method=method, steps=2 * steps, optimizer=Optimizer(name="sgd", learning_rate=0.2)),)
        return (Stage(method=method, steps=steps),)
    method = dataclasses.replace(method, weight_std=0.01)
    shared = {f.name: getattr(method, f.name) for f in dataclasses.fields(_Autoencoder)}
    sgd = Optimizer(name="sgd", learning_rate=0.1, decay_every=20_000)
    layers = tuple(
        Stage(method=StackedLayer(layer=i, **shared), steps=50_000, optimizer=sgd)
        for i in range(len(method.hidden) + 1)
    )
    return (*layers, Stage(method=method, steps=100_000, optimizer=sgd))


def pretraining_of(
    method: Any, recipe: str, spec: DataSpec, likelihood: Literal["gaussian", "bernoulli"] | None = None
) -> tuple[Stage, ...]:
    """The stages before a method that starts from an autoencoder of the same shape, and this likelihood.

    ``corruption`` is not used by the ``paper`` recipe, which trains the layers with dropout and the whole
    autoencoder without. None means 0 in the ``sgd`` recipe; in the others it means 0.2, or 0 for samples of
    fewer than 256 values (8 x 8 digits, DEC: ACC 0.74 with it, mean of two seeds, and 0.87 without).
    """
    corruption = method.corruption
    if corruption is None:
        corruption = 0.2 if recipe != "sgd" and math.prod(spec.shape) >= 256 else 0.0
    autoencoder = AE(
        n_clusters=method.n_clusters,
        hidden=method.hidden,
        latent=method.latent,
        augment=method.augment,
        corruption=corruption if recipe != "paper" else 0.0,
        likelihood=likelihood,
    )
    return pretraining(autoencoder, recipe, spec)
