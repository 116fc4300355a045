"""TSUC: Two-Stage Unsupervised Clustering (Han, Park, Park, Kim, Cha, ECCV 2020).

An embedding comes first, so that clusters do not settle on what is easy: instance discrimination. The second
stage refines it together with the clusters, whose prototypes are random directions that are never trained. Two
views of an image are told from all others (``losses.invariant_spreading``), and their assignments share as much
information as they can (``losses.mutual_information``, as in IIC), for five sets of prototypes at once. That of
the lowest loss is reported.

Differs from the paper in: the first stage is instance discrimination with a memory bank, as in IDFD without its
decorrelation; the paper's, Super-AND, adds anchor neighbourhoods in five rounds and concatenates two networks, of
colours and of edges. The ``fast`` recipe has Adam and fewer epochs.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.idfd import IDFD
from jaxdc.methods.parts import heads, two_views
from jaxdc.methods.parts.handwriting import Handwriting

STEPS_AT = (120 / 300, 160 / 300, 200 / 300, 240 / 300, 280 / 300)  # of its 300 epochs


@register("tsuc", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class TSUC(Handwriting):
    """Two-stage unsupervised clustering: an embedding first, then it and the clusters around fixed prototypes.

    Attributes:
      projection: width of z, in which views are compared and prototypes lie.
      n_heads: sets of prototypes; that of the lowest loss is reported.
      head_temperature: temperature of the assignment, a softmax of cosines with the prototypes.
      temperature: temperature with which images are told apart, in both stages.
      spreading_weight: weight of that loss beside the mutual information.
      refresh_epochs: epochs between two choices of the head of the lowest loss since the choice before.
    """

    augmentation: augment.Weak = augment.Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0)
    projection: int = field(128, at_least=2)
    n_heads: int = field(5, at_least=1)
    head_temperature: float = field(0.1, above=0)
    temperature: float = field(0.1, above=0)
    spreading_weight: float = field(1.0, at_least=0)
    refresh_epochs: float = field(5.0, above=0)

    refresh_last: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "projector")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "projector")

    def check_batch_size(self, batch_size, spec):
        if batch_size < self.n_clusters:
            raise InputError(
                f"a batch of {batch_size} images can't show {self.n_clusters} clusters, whose balance TSUC judges "
                f"batch by batch; use a batch size of {self.n_clusters} or more"
            )

    def init(self, key, spec):
        network_key, prototype_key = jax.random.split(key)
        model = two_views.Network(self, spec, nnx.Rngs(network_key), linear=True)
        prototypes = jax.random.normal(prototype_key, (self.n_heads, self.n_clusters, self.projection))
        prototypes /= jnp.linalg.norm(prototypes, axis=2, keepdims=True)
        return model, {"prototypes": prototypes, **heads.start(self.n_heads)}

    def loss(self, model, aux, batch, key):
        z1, z2 = two_views.apart(model(self.views(key, batch["x"]), train=True))
        information = jax.vmap(losses.mutual_information)(self._probs(aux, z1), self._probs(aux, z2))
        spreading = jnp.mean(losses.invariant_spreading(z1, z2, temperature=self.temperature))
        parts = {"information": jnp.mean(information), "spreading": self.spreading_weight * spreading}
        return sum(parts.values()), (heads.count(aux, information), parts)

    def chance(self, batch_size, spec):
        return {"information": 0.0}

    def _probs(self, aux, z):
        """[b, d] -> the assignment [h, b, k] of every head."""
        cosines = jnp.einsum("bd,hkd->hbk", two_views.unit(z), aux["prototypes"])
        return jax.nn.softmax(cosines / self.head_temperature, axis=2)

    def embed(self, model, aux, batch):
        return two_views.unit(model(self.plain(batch["x"])))

    def refresh(self, model, aux, features, key):
        return model, heads.choose(aux)

    def assign(self, model, aux, features):
        return self._probs({"prototypes": aux["prototypes"][aux["head"]][None]}, features)[0]

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        channels = spec.shape[-1]
        shared: dict[str, Any] = {name: getattr(self, name) for name in ("n_clusters", "backbone", "projection")}
        views = self.preset(channels)
        first = IDFD(**shared, augmentation=views, temperature=self.temperature, decorrelation="none")
        sgd = Optimizer(name="sgd", learning_rate=0.01, nesterov=True, weight_decay=5e-4, decay_at=STEPS_AT)
        if recipe == "paper":
            slow = Optimizer(name="sgd", learning_rate=0.03, weight_decay=5e-4)
            embedding = Stage(method=first, epochs=1000, batch_size=128, optimizer=slow)
            return (embedding, Stage(method=self, epochs=300, batch_size=128, optimizer=sgd, reported_only=True))
        adam = Optimizer(learning_rate=1e-3)
        own = two_views.fast_stage(self, spec, epochs=100, batch_size=256, optimizer=adam, reported_only=True)
        return (two_views.fast_stage(first, spec, epochs=100, batch_size=256, optimizer=adam), own)
