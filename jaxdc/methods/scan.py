"""SCAN (Van Gansbeke et al., ECCV 2020, arXiv 2005.12320): assigns neighbours to the same cluster.

In the features of a pretext task (SimCLR, MoCo or RotNet), neighbours are mostly of one class. A head learns to
assign a sample and one of its neighbours confidently to the same cluster, while using all clusters: equation (2).
``jaxdc.methods.selflabel`` is the step that follows.

To train only the heads on existing embeddings: on vectors (``--data embeddings.npy``) the encoder is the identity
and no pretext is trained; on images ``frozen`` keeps the encoder fixed and embeds every image once. With
``neighbors_from``, another embedding of the same samples determines the neighbours, and any network can learn
from those pairs, such as a small one that replaces the foundation model.

Differs from the paper in: anchor and neighbour share batch statistics, because they pass through the network
together; the final weights are used instead of those of the epoch with the lowest loss; an epoch's pairs are drawn
at its start.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.cluster import layout
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.moco import MoCo
from jaxdc.methods.parts import heads, two_views
from jaxdc.methods.rotnet import RotNet
from jaxdc.methods.simclr import SimCLR
from jaxdc.nn.pretrained import Pretrained
from jaxdc.reading import read_array


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        if len(spec.shape) == 1:
            self.encoder = two_views.Vectors(spec.shape[0])
        elif method.pretext == "rotnet":  # its features define the neighbours
            self.encoder = method.backbone.make(two_views.check_views(spec, method), spec.shape[2], rngs)
        else:
            network = two_views.Network(method, spec, rngs)
            # The pretext's projector defines the neighbours, and is not trained further.
            self.encoder, self.projector = network.encoder, network.projector
            nn.freeze(self.projector)
        n, k, dtype = self.encoder.n_features, method.n_clusters, method.backbone.dtype
        self.heads = nnx.List(nn.ClusterHead(n, None, k, dtype=dtype, rngs=rngs) for _ in range(method.n_heads))
        if method.frozen:
            nn.freeze(self.encoder)


def check_neighbors_are_known(method: Any) -> None:
    """Raises InputError if no pretext, pretrained encoder or file defines the neighbours."""
    known = isinstance(method.backbone, Pretrained) or method.neighbors_from is not None
    if method.pretext == "none" and not known:
        raise InputError('pretext "none" needs an embedding that defines the neighbours: set neighbors_from')


def _read_embedding(path: str, n_samples: int) -> np.ndarray:
    """Reads an embedding with one vector per sample."""
    if not Path(path).is_file():
        raise InputError(f"neighbors_from: there is no file {path}")
    try:
        x = read_array(Path(path))
    except InputError as error:
        raise InputError(f"neighbors_from: {error}") from error
    if x.ndim != 2 or not np.issubdtype(x.dtype, np.floating):
        raise InputError(
            f"neighbors_from: {path} must be an .npy file of floats [n, d], but is an array of {x.dtype} "
            f"{list(x.shape)}"
        )
    if len(x) != n_samples:
        raise InputError(
            f"neighbors_from: {path} has {len(x):,} rows, but the data have {n_samples:,} samples: it needs one "
            "row per sample, in the same order"
        )
    with np.errstate(invalid="ignore"):  # inf - inf
        broken = np.flatnonzero(~np.isfinite(np.sum(x, axis=1, dtype=np.float64)))
    if len(broken):
        raise InputError(f"neighbors_from: {path} has NaN or infinity in row {broken[0]}")
    return x


@register("scan", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SCAN(two_views.TwoViews):
    """SCAN's clustering step: neighbours fall into one cluster.

    Attributes:
      augmentation: augmentation for the views of a sample and its neighbour; the recipe lecture uses eight
        operations instead of four.
      pretext: pretext to train first, "simclr", "moco" or "rotnet"; --init-from accepts a run of it, or of another
        method. "none" starts with an untrained encoder, and needs ``neighbors_from``.
      projection: width of the pretext's z, in which neighbours are found; RotNet's features are compared
        themselves.
      n_neighbors: number of nearest neighbours of each sample; a step picks one of them or the sample itself. 50
        on ImageNet.
      neighbors_from: .npy file [n, d] with a vector for each sample, in the order of the data, in which neighbours
        are found (by cosine); None: the pretext's z.
      entropy_weight: weight of the entropy term that keeps all clusters in use; with 0 they collapse.
      n_heads: number of heads trained side by side; the one with the lowest loss is kept; 10 on ImageNet.
      frozen: train only the heads, on plain views that are embedded once.
      refresh_epochs: epochs between two checks of the clusters' health and the heads' losses.
    """

    augmentation: augment.Strong = augment.Strong()
    pretext: Literal["simclr", "moco", "rotnet", "none"] = "simclr"
    projection: int = field(128, at_least=1)
    n_neighbors: int = field(20, at_least=1)
    neighbors_from: str | None = None
    entropy_weight: float = field(5.0, at_least=0)
    n_heads: int = field(1, at_least=1)
    frozen: bool = False
    refresh_epochs: float = field(5.0, above=0)

    images_only: ClassVar[bool] = False  # vectors are embedded already
    refresh_last: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "projector")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast", "paper", "lecture")

    def __post_init__(self):
        super().__post_init__()
        check_neighbors_are_known(self)

    def init(self, key, spec):
        if self.n_neighbors >= spec.n_samples:
            raise InputError(
                f"n_neighbors is {self.n_neighbors}, but each of {spec.n_samples} samples has "
                f"{spec.n_samples - 1} others; use {spec.n_samples - 1} or less"
            )
        model = _Network(self, spec, nnx.Rngs(key))
        aux = {
            "neighbors": jnp.zeros((spec.n_samples, self.n_neighbors + 1), jnp.int32),
            "mined": jnp.zeros((), bool),
            "head": jnp.zeros((), jnp.int32),
        }
        if self.frozen:
            aux["features"] = jnp.zeros((spec.n_samples, model.encoder.n_features))
        return model, aux

    def check_files(self, spec):
        if self.neighbors_from is not None:
            _read_embedding(self.neighbors_from, spec.n_samples)

    def draw(self, aux, key, n_samples):
        order_key, column_key = jax.random.split(key)
        order = jax.random.permutation(order_key, n_samples)
        columns = jax.random.randint(column_key, (n_samples,), 0, self.n_neighbors + 1)
        return jnp.stack([order, aux["neighbors"][order, columns]], axis=1)

    def loss(self, model, aux, batch, key):
        features = self._pairs(model, aux, batch, key)
        consistency, entropy = 0.0, 0.0
        for head in model.heads:
            anchor, neighbor = two_views.apart(head(features))
            consistency += jnp.mean(losses.neighbor_consistency(anchor, neighbor))
            entropy += losses.mean_entropy(jax.nn.softmax(anchor, axis=1))
        parts = {"consistency": consistency, "entropy": entropy}
        return consistency - self.entropy_weight * entropy, (aux, parts)

    def chance(self, batch_size, spec):
        return {"consistency": self.n_heads * math.log(self.n_clusters)}

    def _pairs(self, model, aux, batch, key):
        """Features of samples and their neighbours, interleaved."""
        if self.frozen:
            rows = two_views.side_by_side(batch["index"], batch["neighbor_index"])
            return aux["features"][rows]
        x, neighbor = batch["x"], batch["neighbor"]
        if x.ndim == 4:
            key1, key2 = jax.random.split(key)
            x, neighbor = self.augmentation(key1, x), self.augmentation(key2, neighbor)
        return model.encoder(two_views.side_by_side(x, neighbor), train=True)

    def embed(self, model, aux, batch):
        x = batch["x"]
        return model.encoder(self.plain(x) if x.ndim == 4 else x)

    def refresh(self, model, aux, features, key):
        if not aux["mined"]:
            z = self._compared(model, features)
            neighbors = cluster.nearest_neighbors(z, self.n_neighbors + 1).indices
            aux = {**aux, "neighbors": neighbors, "mined": jnp.ones((), bool)}
            if self.frozen:
                aux["features"] = features
        logits = [layout.by_rows(head, features) for head in model.heads]
        return model, heads.keep(aux, jnp.stack([self._loss_of(head, aux["neighbors"]) for head in logits]))

    def _compared(self, model, features):
        """The embedding in which neighbours are found."""
        if self.neighbors_from is not None:
            given = _read_embedding(self.neighbors_from, len(features))
            return jax.device_put(given.astype(np.float32), layout.like(features, given.shape))
        if isinstance(self.backbone, Pretrained) and self.pretext == "none":
            return features  # the projector has learnt nothing
        return layout.by_rows(model.projector, features) if hasattr(model, "projector") else features

    def _loss_of(self, logits, neighbors):
        """The loss of one head over all samples and all their neighbours, without augmentation."""
        others = neighbors[:, 1:].T  # the first is the sample itself

        def one(i):
            return jnp.mean(losses.neighbor_consistency(logits, logits[others[i]]))

        consistency = jnp.mean(jax.lax.map(one, jnp.arange(len(others))))
        return consistency - self.entropy_weight * losses.mean_entropy(jax.nn.softmax(logits, axis=1))

    def assign(self, model, aux, features):
        logits = jnp.stack([head(features) for head in model.heads])
        return jax.nn.softmax(logits[aux["head"]], axis=1)

    def parts(self, model, aux):
        return {**super().parts(model, aux), "head": model.heads[int(aux["head"])]}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        method = self.for_recipe(recipe)
        embedded = len(spec.shape) == 1 or self.pretext == "none"
        before = () if embedded else self._pretext_stages(recipe, spec)
        rate = 1e-3 if method.frozen or not before else 1e-4
        adam = Optimizer(name="adam", learning_rate=rate, weight_decay=1e-4)
        # The settings for CIFAR-10, and for STL-10 with its 5,000 training samples. For CIFAR-100-20 and ImageNet
        # (100 epochs, batches of 512) the caller has to choose them: k does not identify the data set.
        epochs = 100 if spec.reported.n_samples < 20_000 else 50
        shared = {"epochs": epochs, "batch_size": 128, "optimizer": adam, "reported_only": True}
        if recipe == "fast":
            return (*before, two_views.fast_stage(method, spec, **shared))
        return (*before, Stage(method=method, **shared))

    def for_recipe(self, recipe: str) -> SCAN:
        """The same method with the lecture's eight operations instead of four."""
        if recipe != "lecture" or getattr(self.augmentation, "n_ops", None) != 4:
            return self
        return dataclasses.replace(self, augmentation=dataclasses.replace(self.augmentation, n_ops=8))

    def _pretext_stages(self, recipe, spec):
        views = self.augmentation.of_pretext
        if self.pretext == "rotnet":
            rotnet = RotNet(n_clusters=self.n_clusters, backbone=self.backbone, augmentation=views)
            return rotnet.stages("fast" if recipe == "fast" else "paper", spec)
        shared = {"n_clusters": self.n_clusters, "backbone": self.backbone, "projection": self.projection}
        if self.pretext == "moco":
            moco = MoCo(**shared, augmentation=views)
            stages = moco.stages("fast" if recipe == "fast" else "paper", spec)
            # MoCo's recipe would adapt an unset backbone, which would then not fit this one.
            return tuple(dataclasses.replace(s, method=dataclasses.replace(s.method, **shared)) for s in stages)
        method = SimCLR(**shared, augmentation=views, temperature=0.1, anchors="first")
        return method.stages("fast" if recipe == "fast" else "pretext", spec)
