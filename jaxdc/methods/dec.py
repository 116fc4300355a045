"""DEC: Deep Embedded Clustering (Xie, Girshick, Farhadi, ICML 2016, arXiv 1511.06335).

An encoder that was pre-trained to reconstruct is trained on, together with cluster centroids, so
that its soft assignment q approaches a sharpened, evened-out copy p of itself.

Differs from the paper in: the ``fast`` recipe (one end-to-end denoising pre-training with Adam
instead of a stack with SGD). Goes beyond it with ``augment`` (DEC-DA; Guo et al., ACML 2018): both phases learn
from randomly turned and shifted images, while p comes from the clean ones.
"""

from __future__ import annotations

import dataclasses
from typing import final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.methods.autoencoder import fast_steps, pretraining_of
from jaxdc.methods.base import Method, check_image_shape, check_range
from jaxdc.stages import Optimizer, Stage


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        self.encoder = nn.Encoder(spec.shape, method.hidden, method.latent, rms=spec.rms, rngs=rngs)
        self.centroids = nnx.Param(jnp.zeros((method.n_clusters, method.latent)))


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DEC(Method):
    """Deep Embedded Clustering.

    Attributes:
      hidden: widths of the encoder's hidden layers.
      latent: width of the code.
      alpha: degrees of freedom of the Student's t kernel.
      refresh_steps: steps between two computations of p over the whole data set.
      tolerance: training ends when a smaller share of the samples changes cluster between two.
      n_init: runs of the k-means that places the centroids.
      corruption: share of the input values set to 0 in pre-training; None lets the size of a sample decide.
      augment: train on randomly turned and shifted images (DEC-DA).
      train_encoder: False is DEC without back-propagation: features fixed, centroids alone learn.
    """

    hidden: tuple[int, ...] = (500, 500, 2000)
    latent: int = 10
    alpha: float = 1.0
    refresh_steps: int = 140
    tolerance: float = 0.001
    n_init: int = 20
    corruption: float | None = None
    augment: bool = False
    train_encoder: bool = True

    def __post_init__(self):
        super().__post_init__()
        check_range(self, "hidden", "latent", "alpha", "n_init")
        if self.corruption is not None:
            check_range(self, "corruption", above=-1e-9, below=1)

    def init(self, key, spec):
        if self.augment:
            check_image_shape(spec, "augmentation")
        model = _Network(self, spec, nnx.Rngs(key))
        return model, {"p": jnp.zeros((spec.n_samples, self.n_clusters)), "started": jnp.array(False)}

    def loss(self, model, aux, batch, key):
        x = augment.random_rotate_shift(key, batch["x"]) if self.augment else batch["x"]
        z = model.encoder(x)
        if not self.train_encoder:
            z = jax.lax.stop_gradient(z)
        q = losses.student_t_assignment(z, model.centroids[...], alpha=self.alpha)
        loss = jnp.mean(losses.kl_divergence(aux["p"][batch["index"]], q))
        return loss, (aux, {"kl": loss})

    def refresh(self, model, aux, features, key):
        return update_target(self, model, aux, features, key)

    def assign(self, model, aux, features):
        return losses.student_t_assignment(features, model.centroids[...], alpha=self.alpha)

    def stages(self, recipe, spec):
        sgd = Optimizer(name="sgd", learning_rate=0.01)
        steps = fast_steps(spec, epochs=12, at_least=1400) if recipe == "fast" else 20_000
        return (*pretraining_of(self, recipe, spec), Stage(method=self, steps=steps, optimizer=sgd))


def update_target(method, model, aux, features, key):
    """P over the whole data set; before the first one, k-means places the centroids."""
    if not bool(aux["started"]):
        result = cluster.k_means(key, features, method.n_clusters, n_init=method.n_init)
        model.centroids[...] = result.centroids
    return model, {"p": _target(features, model.centroids[...], method.alpha), "started": jnp.array(True)}


@jax.jit
def _target(features, centroids, alpha):
    return losses.target_distribution(losses.student_t_assignment(features, centroids, alpha=alpha))
