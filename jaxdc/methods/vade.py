"""VaDE: Variational Deep Embedding (Jiang, Zheng, Tan, Tang, Zhou, IJCAI 2017, arXiv 1611.05148).

A variational autoencoder whose prior is a mixture of Gaussians, one for each cluster: a sample is drawn from one
of them and decoded. The mixture and both networks learn to make the evidence lower bound as large as it can be,
and the cluster of a sample is the component that its code most likely comes from. New samples of a cluster can be
drawn (``jaxdc sample``).

Begins with an autoencoder, whose encoder gives the means, and a Gaussian mixture fitted to its codes, with equal
weights: from other starts one component takes all samples.

Differs from the paper in: the encoder sees samples divided by their root mean square, as everywhere in jaxdc,
while the decoder is compared with the values themselves (``bernoulli``) or with the values so divided
(``gaussian``). The ``fast`` recipe is shorter, with larger batches and an autoencoder trained end to end;
``paper`` is the released code's for MNIST, 3,000 epochs. The first mixture is fitted with full covariances, of
which the prior keeps the diagonals; the released code fits diagonal ones. ``augment`` is not in the paper.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.methods.autoencoder import RECIPES, make_encoder, pretraining_of, reconstruction
from jaxdc.methods.base import Method, Optimizer, Stage, check_image_shape, fast_steps, field, register, restarts


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        sizes = (math.prod(spec.shape), *method.hidden, method.latent)
        # The last layer of the encoder gives the means, so that it is that of the autoencoder before.
        self.encoder = make_encoder(method, spec, rngs)
        self.variance = nn.MLP(sizes[-2:], rngs=rngs)
        self.decoder = nn.MLP(sizes[::-1], rngs=rngs)
        k, d = method.n_clusters, method.latent
        self.centroids = nnx.Param(jnp.zeros((k, d)))
        self.log_variances = nnx.Param(jnp.zeros((k, d)))
        self.logits = nnx.Param(jnp.zeros(k))
        self.shape, self.likelihood = spec.shape, method.likelihood_of(spec)

    def posterior(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[b, ...] -> means and logarithms of the variances [b, latent]."""
        layers = len(self.encoder.mlp.layers)
        hidden = self.encoder.mlp.apply(self.encoder.flatten(x), 0, layers - 1)
        return self.encoder.mlp.apply(hidden, layers - 1, layers), self.variance(hidden)

    def mixture(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Means and logarithms of the variances [k, latent], and logits of the weights [k]."""
        return self.centroids[...], self.log_variances[...], self.logits[...]


@register("vade", "autoencoder")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class VaDE(Method):
    """Variational Deep Embedding: a variational autoencoder with a mixture of Gaussians as its prior.

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder mirrors them.
      latent: width of the code.
      likelihood: "bernoulli" for values from 0 to 1, "gaussian" for others; None: bernoulli for 8-bit images.
      weight: weight of the reconstruction; the paper has 5 on one of its sets.
      n_init: fits of the first mixture, of which the likeliest is kept.
      corruption: share of the input values set to 0 in pre-training; None chooses by the recipe and the size of a
        sample.
      augment: train on randomly rotated and shifted images.
      refresh_epochs: epochs between two checks of the clusters' health.
    """

    hidden: tuple[int, ...] = field((500, 500, 2000), at_least=1)
    latent: int = field(10, at_least=1)
    likelihood: Literal["gaussian", "bernoulli"] | None = None
    weight: float = field(1.0, above=0)
    n_init: int = restarts(10)
    corruption: float | None = field(None, at_least=0, below=1)
    augment: bool = False
    refresh_epochs: float = field(5.0, above=0)

    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    generates: ClassVar[bool] = True
    recipe_names: ClassVar[tuple[str, ...]] = RECIPES

    def likelihood_of(self, spec) -> Literal["gaussian", "bernoulli"]:
        """``likelihood``, or what None means for these data."""
        return self.likelihood or ("bernoulli" if spec.dtype == "uint8" else "gaussian")

    def init(self, key, spec):
        if self.augment:
            check_image_shape(spec, "augmentation")
        return _Network(self, spec, nnx.Rngs(key)), {"started": jnp.array(False)}

    def loss(self, model, aux, batch, key):
        view_key, noise_key = jax.random.split(key)
        x = augment.random_rotate_shift(view_key, batch["x"]) if self.augment else batch["x"]
        mean, log_variance = model.posterior(x)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(noise_key, mean.shape)
        # Per feature, so that the figure of one data set compares with that of another; the loss takes the sum.
        per_feature = jnp.mean(reconstruction(model, x, z, model.likelihood))
        kl = jnp.mean(losses.mixture_kl(z, mean, log_variance, *model.mixture()))
        loss = self.weight * math.prod(model.shape) * per_feature + kl
        return loss, (aux, {"reconstruction": per_feature, "kl": kl})

    def refresh(self, model, aux, features, key):
        if not bool(aux["started"]):
            model.centroids[...], model.log_variances[...] = self._first_mixture(features, key)
        return model, {"started": jnp.array(True)}

    def _first_mixture(self, features, key):
        # Each axis of a cluster has its variance within the cluster found with all covariances: a mixture of
        # diagonal ones cuts long clusters that lie askew into pieces.
        found = cluster.gaussian_mixture(key, features, self.n_clusters, n_init=self.n_init, ridge=1e-4)
        return found.means, jnp.log(jnp.diagonal(found.covariances, axis1=1, axis2=2))

    def assign(self, model, aux, features):
        return losses.mixture_assignment(features, *model.mixture())

    def generate(self, model, aux, clusters, key):
        means, log_variances, _ = model.mixture()
        noise = jax.random.normal(key, (len(clusters), self.latent))
        decoded = model.decoder(means[clusters] + jnp.exp(0.5 * log_variances[clusters]) * noise)
        if model.likelihood == "bernoulli":
            x = jax.nn.sigmoid(decoded)
        else:
            x = decoded / model.encoder.scale[...] + model.encoder.offset
        return x.reshape(len(clusters), *model.shape)

    def stages(self, recipe, spec):
        likelihood = self.likelihood_of(spec)
        before = pretraining_of(self, recipe, spec, likelihood)
        method = dataclasses.replace(self, likelihood=likelihood)
        adam = Optimizer(
            learning_rate=2e-3, epsilon=1e-4, decay_every_epochs=10, decay_factor=0.9, lowest_rate=2e-4
        )
        if recipe == "paper":
            return (*before, Stage(method=method, epochs=3000, batch_size=100, optimizer=adam))
        steps = fast_steps(spec, epochs=50, at_least=4000)
        return (*before, Stage(method=method, steps=steps, optimizer=adam))
