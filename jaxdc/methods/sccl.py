"""SCCL: Supporting Clustering with Contrastive Learning (Zhang et al., NAACL 2021, arXiv 2103.12953).

Two views of a text are contrasted with those of all others while the plain text is pulled towards its cluster:
NT-Xent on a projection of the views spreads the texts out, and DEC's KL(p || q) gathers them. Both train the same
transformer.

With ``transformer``, the directory of a sentence-transformers model, samples are token ids (``--vectors tokens``)
and the whole network is trained, the encoder far more slowly than the heads. Without it, samples are vectors that
are already embedded (``--vectors embedding``, or ``--data embeddings.npy``): a light mode that takes minutes on
two cores. That is NOT the paper's method: it trains a linear layer, initialised as the identity, instead of the
transformer, and a view is the same vector with some values set to zero.

Differs from the paper in: views are made on the device by token dropout and dropout (the paper: words replaced by
a language model; its released code also supports dropout alone), and the plain text is encoded without dropout.
``eta`` weights the contrastive loss, as in the released code.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import losses, nn
from jaxdc.augment.texts import random_drop_tokens, random_drop_values
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Optimizer, Stage, fast_steps, field, register, restarts
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.k_means import best_k_means
from jaxdc.nn.bert import Dropout
from jaxdc.nn.sentence_model import open_sentence_model


def _identity(key, shape, dtype):
    del key
    return jnp.eye(*shape, dtype=dtype)


class _Adapter(nnx.Module):
    """A linear layer, initialised as the identity, on vectors scaled to unit mean square."""

    def __init__(self, n_features: int, rngs: nnx.Rngs):
        self.n_features = n_features
        self.layer = nnx.Linear(n_features, n_features, kernel_init=_identity, rngs=rngs)

    def __call__(self, x):
        return self.layer(two_views.unit(x.reshape(x.shape[0], -1)) * math.sqrt(self.n_features))


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        if method.transformer is None:
            self.encoder = _Adapter(math.prod(spec.shape), rngs)
        else:
            # Not normalised, as in the released code: between unit vectors the kernel is almost flat.
            self.encoder = open_sentence_model(method.transformer).unnormalized().load()
        n = self.encoder.n_features
        self.projector = nn.ProjectionHead(n, n, method.projection, rngs=rngs)
        self.centroids = nnx.Param(jnp.zeros((method.n_clusters, n)))


@register("sccl", "embedded")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SCCL(Method):
    """Supporting Clustering with Contrastive Learning: contrastive loss and DEC's loss on one text encoder.

    Attributes:
      transformer: directory of the sentence-transformers model to train, on token ids; None trains a linear layer
        on vectors that are already embedded.
      projection: width of z, in which views are compared.
      temperature: softmax temperature of the contrastive loss.
      eta: weight of the contrastive loss relative to the clustering loss; None is the paper's 10, or 1 on vectors.
      alpha: degrees of freedom of the Student's t kernel; None is the paper's 1, or 10 on vectors, whose distances
        are larger.
      token_dropout: share of the tokens that a view leaves out (token ids only).
      dropout: share of the values that a view sets to zero, in the transformer or the vectors; None is 0.1 in the
        transformer and 0.5 in vectors.
      refresh_epochs: epochs between two health checks of the clusters; they do not affect training.
      n_init: k-means runs to initialise the centroids.
    """

    transformer: str | None = None
    projection: int = field(128, at_least=1)
    temperature: float = field(0.5, above=0)
    eta: float | None = field(None, at_least=0)
    alpha: float | None = field(None, above=0)
    token_dropout: float = field(0.2, at_least=0, below=1)
    dropout: float | None = field(None, at_least=0, below=1)
    refresh_epochs: float = field(5.0, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True
    reads_tokens: ClassVar[bool] = True

    def init(self, key, spec):
        if (spec.dtype == "int32") != (self.transformer is not None):
            raise InputError(
                "a transformer trains on token ids: set both --vectors tokens and --transformer, or neither"
            )
        return _Network(self, spec, nnx.Rngs(key)), {"started": jnp.array(False)}

    def loss(self, model, aux, batch, key):
        plain, z1, z2 = self._passes(model, batch["x"], key)
        instance = jnp.mean(losses.nt_xent(z1, z2, temperature=self.temperature))
        q = self.assign(model, aux, plain)
        p = jax.lax.stop_gradient(losses.target_distribution(q))
        kl = jnp.mean(losses.kl_divergence(p, q))
        return self._or(self.eta, 10.0, 1.0) * instance + kl, (aux, {"instance": instance, "kl": kl})

    def chance(self, batch_size, spec):
        return {"instance": math.log(2 * batch_size - 1)}

    def _passes(self, model, x, key):
        """Features [b, d] of the plain samples, and z [b, projection] of two views of each."""
        drop_key, dropout_key = jax.random.split(key)
        views, rate = two_views.side_by_side(x, x), self._or(self.dropout, 0.1, 0.5)
        if self.transformer is None:
            views = model.encoder(random_drop_values(drop_key, views.reshape(len(views), -1), rate))
        else:
            tokens = random_drop_tokens(drop_key, views, self.token_dropout)
            views = model.encoder(tokens, dropout=Dropout(rate, dropout_key))
        return model.encoder(x), *two_views.apart(model.projector(views))

    def refresh(self, model, aux, features, key):
        if not bool(aux["started"]):
            result = best_k_means(key, features, self.n_clusters, n_init=self.n_init)
            model.centroids[...] = result.centroids
        return model, {"started": jnp.array(True)}

    def assign(self, model, aux, features):
        alpha = self._or(self.alpha, 1.0, 10.0)
        return losses.student_t_assignment(features, model.centroids[...], alpha=alpha)

    def _or(self, value, of_tokens, of_vectors):
        """A hyper-parameter, or its default for tokens or vectors if it is None."""
        if value is not None:
            return value
        return of_vectors if self.transformer is None else of_tokens

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        # The rates of the released code: 1e-5, and a hundred times that for the heads. A layer on vectors is
        # not pretrained.
        adam = Optimizer(name="adam", learning_rate=1e-3, encoder_rate=self._or(None, 0.01, 1.0))
        if recipe == "paper":
            return (Stage(method=self, steps=3000, batch_size=400, optimizer=adam),)
        batch = two_views.batch_for(spec, 256)
        steps = fast_steps(spec, epochs=10, at_least=500, batch_size=batch)
        return (Stage(method=self, steps=steps, batch_size=batch, optimizer=adam),)
