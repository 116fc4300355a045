"""CMSC-DCCA: Cross-Modal Subspace Clustering via Deep CCA (Gao, Lian, Wang, Sun, AAAI 2020, 34:3938-3945).

One matrix of coefficients says, in two modalities at once, of which others each sample is made, while deep CCA
(Andrew et al., ICML 2013) makes the two codes of a sample foretell each other.

Both phases of the paper's algorithm 1: the two autoencoders learn to reconstruct, each by itself; then all is
trained together, and the coefficients are the graph of a spectral clustering. Every step of the second phase takes
all samples, and its memory grows with their square (see ``self_expression.py``).

Differs from the paper in: fully connected layers for views that are vectors; the covariances of the codes have
``RIDGE`` added to their diagonals; the graph may be brought to a low rank before it is cut, as in DSC-Net (the
paper: ``(|C| + |C|^T) / 2``, which is ``keep=1, subspace=None, power=1``). No code was released: the weights of
the terms, which are means over samples and not sums, and the lengths of the phases are our own.
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
    """Cross-Modal Subspace Clustering via Deep CCA, of samples of two views.

    Attributes:
      correlation: weight of the sum of the canonical correlations of the two codes.
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
