"""CMSC-DCCA: Cross-Modal Subspace Clustering via Deep CCA (Gao, Lian, Wang, Sun, AAAI 2020, 34:3938-3945).

One matrix of coefficients, shared by two modalities, expresses each sample by the others, while deep CCA
(Andrew et al., ICML 2013) makes the two codes of a sample predict each other.

Implements both phases of the paper's algorithm 1: the two autoencoders first learn to reconstruct separately; then
everything is trained jointly, and the coefficients are the graph for spectral clustering. Every step of the second
phase takes all samples, and memory grows with the square of their number (see ``self_expression.py``).

Differs from the paper in: fully connected layers for views that are vectors; the covariances of the codes have
``RIDGE`` added to their diagonals; the norm of the coefficients has the weight that leaves as many degrees of
freedom as there are clusters, and the graph joins samples with similar coefficients (the paper: ``(|C| + |C|^T) /
2``, which is ``n_neighbors=None, subspace=None, power=1``). No code was released: the weights of the terms, which
are means over samples instead of sums, and the lengths of the phases are our own.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

from jaxdc import losses
from jaxdc.methods.base import field, register
from jaxdc.methods.parts.self_expression import SelfExpression
from jaxdc.methods.view_autoencoders import check_n_views

RIDGE = 1e-3


@register("cmsc_dcca", "several views")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class CMSCDCCA(SelfExpression):
    """Cross-Modal Subspace Clustering via Deep CCA, for samples with two views.

    Attributes:
      correlation: weight of the sum of canonical correlations between the two codes.
    """

    correlation: float = field(0.1, at_least=0)

    n_views: ClassVar[int] = 2

    def init(self, key, spec):
        check_n_views(spec, 2, "CMSC-DCCA")
        return super().init(key, spec)

    def loss(self, model, aux, batch, key):
        codes, total, terms = self.terms(model, batch["x"])
        correlation = losses.canonical_correlation(*codes, regularization=RIDGE)
        return total + self.correlation * correlation, (aux, {**terms, "correlation": correlation})
