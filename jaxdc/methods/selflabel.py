"""SCAN's self-labelling (Van Gansbeke et al., ECCV 2020, arXiv 2005.12320, section 2.3).

Samples whose plain view is predicted confidently give labels to their strongly augmented view, which learns them
by cross-entropy, with equal weight for every cluster. It corrects samples that noisy neighbours put into the wrong
cluster.

Differs from the paper in: the paper stops when the number of confident samples no longer grows; here, as in the
released code, the stage runs its full length unless ``patience`` is set. A batch without a confident sample
changes nothing; in the released code it is an error.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses, nn
from jaxdc.cluster import layout
from jaxdc.methods.base import Ending, Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.scan import SCAN, check_neighbors_are_known

OF_SCAN = (
    "n_clusters",
    "backbone",
    "augmentation",
    "pretext",
    "projection",
    "n_neighbors",
    "neighbors_from",
    "n_heads",
)
GROWTH = 1.001  # an increase in confident samples below 0.1 % does not count as growth


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        side = two_views.check_views(spec, method)
        self.encoder = method.backbone.make(side, spec.shape[2], rngs)
        n, dtype = self.encoder.n_features, method.backbone.dtype
        self.head = nn.ClusterHead(n, None, method.n_clusters, dtype=dtype, rngs=rngs)


@register("selflabel", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfLabel(two_views.TwoViews):
    """SCAN with self-labelling: confident samples teach their strong views.

    Attributes:
      augmentation: augmentation for the view that learns.
      label_view: view that provides the label, "plain" or "weak".
      weak: augmentation for weak views, used if they provide the label; takes size and normalisation from the
        other.
      pretext: pretext to train before SCAN, "simclr", "moco" or "rotnet"; "none" needs ``neighbors_from``.
      projection: width of the pretext's z.
      n_neighbors: number of neighbours in the SCAN stage.
      neighbors_from: .npy file [n, d] in which the SCAN stage finds neighbours; None: the pretext's z.
      n_heads: number of heads in the SCAN stage; the best one is taken over.
      threshold: confidence above which a sample gets a pseudo-label.
      class_balanced: weight all clusters equally; otherwise large ones may absorb small ones.
      patience: number of checks without growth in confident samples after which the stage ends; None: it runs its
        full length. The number can grow slowly for a long time, so use 10 or more.
      refresh_epochs: epochs between two checks.
    """

    augmentation: augment.Strong = augment.Strong()
    label_view: Literal["plain", "weak"] = "plain"
    weak: augment.Weak = augment.Weak()
    pretext: Literal["simclr", "moco", "rotnet", "none"] = "simclr"
    projection: int = field(128, at_least=1)
    n_neighbors: int = field(20, at_least=1)
    neighbors_from: str | None = None
    n_heads: int = field(1, at_least=1)
    threshold: float = field(0.99, above=0, below=1)
    class_balanced: bool = True
    patience: int | None = field(None, at_least=1)
    refresh_epochs: float = field(5.0, above=0)

    refresh_last: ClassVar[bool] = True
    lesson: ClassVar[str] = "a sample as confident as its threshold asks"
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "head")
    requires: ClassVar[tuple[str, ...]] = ("encoder", "head")
    recipe_names: ClassVar[tuple[str, ...]] = SCAN.recipe_names

    def __post_init__(self):
        super().__post_init__()
        check_neighbors_are_known(self)

    def init(self, key, spec):
        aux = {
            "most": jnp.zeros((), jnp.int32),
            "looks": jnp.zeros((), jnp.int32),
            "highest": jnp.zeros(()),
        }
        return _Network(self, spec, nnx.Rngs(key)), aux

    def loss(self, model, aux, batch, key):
        weak_key, strong_key = jax.random.split(key)
        x = batch["x"]
        view = self.plain(x) if self.label_view == "plain" else self._weak(weak_key, x)
        # Both pass in training mode, as in the released code: running statistics know plain views too.
        teacher = jax.lax.stop_gradient(model.head(model.encoder(view, train=True)))
        student = model.head(model.encoder(self.augmentation(strong_key, x), train=True))
        loss, share = losses.confident_cross_entropy(
            teacher, student, threshold=self.threshold, class_balanced=self.class_balanced
        )
        return loss, (aux, {"confident": share})

    def learns(self, metrics):
        return metrics["confident"] > 0

    def _weak(self, key, x):
        strong = self.augmentation
        weak = dataclasses.replace(self.weak, size=strong.size, mean=strong.mean, std=strong.std)
        return weak(key, x)

    def refresh(self, model, aux, features, key):
        probs = layout.by_rows(lambda rows: self.assign(model, aux, rows), features)
        confidence = jnp.max(probs, axis=1)
        n_confident = jnp.sum(confidence > self.threshold, dtype=jnp.int32)
        grown = n_confident > GROWTH * aux["most"]
        return model, {
            "most": jnp.maximum(aux["most"], n_confident),
            "looks": jnp.where(grown, 0, aux["looks"] + 1),
            "highest": jnp.max(confidence),
        }

    def ending(self, aux):
        if not aux["most"]:
            return Ending(
                f"no sample is predicted with more than {self.threshold:g} confidence (the highest is "
                f"{aux['highest']:.3f}), so nothing was self-labelled: lower the threshold, or train the "
                "clustering longer",
                warns=True,
            )
        if self.patience is not None and aux["looks"] >= self.patience:
            return Ending(f"the number of confident samples no longer grows (maximum {aux['most']:,})")
        return None

    def assign(self, model, aux, features):
        return jax.nn.softmax(model.head(features), axis=1)

    def stages(self, recipe, spec):
        clustering = SCAN(**{name: getattr(self, name) for name in OF_SCAN}).for_recipe(recipe)
        before = clustering.stages(recipe, spec)
        method = dataclasses.replace(self, augmentation=clustering.augmentation)
        adam = Optimizer(name="adam", learning_rate=1e-4, weight_decay=1e-4)
        epochs = 100 if spec.reported.n_samples < 20_000 else 200  # STL-10; CIFAR
        shared = {"epochs": epochs, "optimizer": adam, "reported_only": True}
        if recipe == "fast":
            return (*before, two_views.fast_stage(method, spec, batch_size=1024, **shared))
        return (*before, Stage(method=method, batch_size=1000, **shared))
