"""DSC-Net: Deep Subspace Clustering Networks (Ji, Zhang, Li, Salzmann, Reid, NeurIPS 2017, arXiv 1709.02508).

An autoencoder in which the code of each sample is a combination of the other codes: CMSC-DCCA with one view.

Every step takes all samples, and memory grows with the square of their number (see ``self_expression.py``).

Differs from the paper in: fully connected layers if samples are vectors; means instead of sums, so that weights do
not depend on the sizes of samples and data set; 300 steps of fine-tuning, whatever the data.
"""

from __future__ import annotations

import dataclasses
from typing import final

from jaxdc.methods.base import register
from jaxdc.methods.parts.self_expression import SelfExpression
from jaxdc.methods.view_autoencoders import check_n_views


@register("dsc_net", "several views")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DSCNet(SelfExpression):
    """Deep Subspace Clustering Networks: learns the graph, on all samples at once."""

    def init(self, key, spec):
        if spec.widths is not None:
            check_n_views(spec, 1, "DSC-Net")
        return super().init(key, spec)

    def loss(self, model, aux, batch, key):
        _, total, terms = self.terms(model, batch["x"])
        return total, (aux, terms)
