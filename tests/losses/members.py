"""Every public function of ``jaxdc.losses``, with arguments for it: what the tests over all of them go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdc import losses

B, D, K, N = 16, 6, 5, 40


def _rng(seed):
    return np.random.default_rng(seed)


def vectors(seed, n=B, d=D):
    return _rng(seed).normal(size=(n, d)).astype(np.float32)


def unit_vectors(seed, n=B, d=D):
    x = vectors(seed, n, d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def assignments(seed, n=B, k=K):
    return _rng(seed).dirichlet(np.full(k, 0.5), size=n).astype(np.float32)


INDEX = _rng(9).permutation(N)[:B].astype(np.int32)
LABELS = (_rng(8).integers(K, size=B)).astype(np.int32)


class Member(NamedTuple):
    """A function as ``call(*by_sample, *fixed, axis_name)`` and its arguments.

    ``learned`` are split by sample and have a gradient, ``given`` are split by sample and have none,
    ``fixed`` are whole on every device. ``by_sample`` says whether the result is, too.
    """

    call: Callable
    learned: tuple = ()
    given: tuple = ()
    fixed: tuple = ()
    by_sample: bool = True


def without_axis(function, **kwargs):
    return lambda *args, axis_name: function(*args, **kwargs)


def with_axis(function, **kwargs):
    return lambda *args, axis_name: function(*args, axis_name=axis_name, **kwargs)


MEMBERS = {
    "student_t_assignment": Member(
        without_axis(losses.student_t_assignment), (vectors(0),), fixed=(vectors(1, K),)
    ),
    "target_distribution": Member(with_axis(losses.target_distribution), (assignments(0),)),
    "kl_divergence": Member(without_axis(losses.kl_divergence), (assignments(0), assignments(1))),
    "cross_entropy": Member(without_axis(losses.cross_entropy), (vectors(0, d=K), assignments(1))),
    "smoothed_cross_entropy": Member(
        without_axis(losses.smoothed_cross_entropy, smoothing=0.3), (vectors(0, d=K),), (LABELS,)
    ),
    "sharpen": Member(without_axis(losses.sharpen), (assignments(0),)),
    "nt_xent": Member(with_axis(losses.nt_xent), (vectors(0), vectors(1))),
    "nt_xent, first": Member(
        with_axis(losses.nt_xent, anchors="first", temperature=0.1), (vectors(0), vectors(1))
    ),
    "nt_xent, blocks": Member(with_axis(losses.nt_xent, block_size=5), (vectors(0), vectors(1))),
    "nt_xent, first, blocks": Member(
        with_axis(losses.nt_xent, block_size=3, anchors="first"), (vectors(0), vectors(1))
    ),
    "in_batch_softmax": Member(with_axis(losses.in_batch_softmax), (vectors(0), vectors(1))),
    "in_batch_softmax, ids": Member(
        lambda q, k, query_ids, key_ids, log_q, axis_name: losses.in_batch_softmax(
            q, k, query_ids=query_ids, key_ids=key_ids, log_q=log_q, temperature=0.5, axis_name=axis_name
        ),
        (vectors(0), vectors(1)),
        (LABELS, LABELS[::-1].copy(), np.linspace(-2.0, 0.5, B).astype(np.float32)),
    ),
    "cluster_nt_xent": Member(
        with_axis(losses.cluster_nt_xent), (assignments(0), assignments(1)), by_sample=False
    ),
    "invariant_spreading": Member(
        with_axis(losses.invariant_spreading, temperature=0.5), (vectors(0), vectors(1))
    ),
    "mean_entropy": Member(with_axis(losses.mean_entropy), (assignments(0),), by_sample=False),
    "information_maximisation": Member(
        with_axis(losses.information_maximisation), (assignments(0),), by_sample=False
    ),
    "mutual_information": Member(
        with_axis(losses.mutual_information, lamb=1.5), (assignments(0), assignments(1)), by_sample=False
    ),
    "partition_uncertainty": Member(
        with_axis(losses.partition_uncertainty), (assignments(0), assignments(1)), by_sample=False
    ),
    "info_nce": Member(without_axis(losses.info_nce), (vectors(0), vectors(1)), fixed=(unit_vectors(2, N),)),
    "contrastive_experts": Member(
        # Two experts, whose embeddings lie side by side here.
        lambda gate, q, k, mu, queue, axis_name: losses.contrastive_experts(
            gate, q.reshape(-1, 2, 3), k.reshape(-1, 2, 3), mu, queue, temperature=0.7, n_filled=30
        ),
        (vectors(0, d=2), vectors(1), vectors(2)),
        fixed=(vectors(3, 2, 3), unit_vectors(4, 2 * N, 3).reshape(N, 2, 3)),
    ),
    "update_queue": Member(
        lambda keys, queue, position, axis_name: losses.update_queue(queue, position, keys, axis_name=axis_name),
        given=(vectors(0),),
        fixed=(unit_vectors(1, 20), np.int32(13)),
        by_sample=False,
    ),
    "update_queue, several keys a sample": Member(
        lambda keys, queue, position, axis_name: losses.update_queue(
            queue, position, keys.reshape(-1, 2, 3), axis_name=axis_name
        ),
        given=(vectors(0),),
        fixed=(unit_vectors(1, 40, 3).reshape(20, 2, 3), np.int32(13)),
        by_sample=False,
    ),
    "instance_discrimination": Member(
        lambda z, index, bank, axis_name: losses.instance_discrimination(z, bank, index, axis_name=axis_name),
        (vectors(0),),
        (INDEX,),
        (unit_vectors(1, N),),
    ),
    "instance_discrimination, in the batch": Member(
        lambda z, axis_name: losses.instance_discrimination(z, None, None, temperature=0.3, axis_name=axis_name),
        (vectors(0),),
    ),
    "local_aggregation": Member(
        lambda z, index, bank, clusterings, axis_name: losses.local_aggregation(
            z, bank, index, clusterings, n_background=20, temperature=0.5
        ),
        (vectors(0),),
        (INDEX,),
        (unit_vectors(1, N), _rng(7).integers(4, size=(3, N)).astype(np.int32)),
    ),
    "update_memory_bank": Member(
        lambda z, index, bank, axis_name: losses.update_memory_bank(bank, z, index, axis_name=axis_name),
        given=(vectors(0), INDEX),
        fixed=(unit_vectors(1, N),),
        by_sample=False,
    ),
    "feature_decorrelation": Member(with_axis(losses.feature_decorrelation), (vectors(0),), by_sample=False),
    "feature_orthogonality": Member(with_axis(losses.feature_orthogonality), (vectors(0),), by_sample=False),
    "neighbor_consistency": Member(without_axis(losses.neighbor_consistency), (vectors(0), vectors(1))),
    "temi": Member(
        lambda s1, s2, t1, t2, marginal, axis_name: losses.temi(s1, s2, t1, t2, marginal),
        (vectors(0, d=K), vectors(1, d=K)),
        (vectors(2, d=K), vectors(3, d=K)),
        (assignments(4, 1)[0],),
    ),
    "temi, weighted": Member(
        lambda s1, s2, t1, t2, weights, marginal, axis_name: losses.temi(
            s1, s2, t1, t2, marginal, weights=weights, beta=1.0
        ),
        (vectors(0, d=K), vectors(1, d=K)),
        (vectors(2, d=K), vectors(3, d=K), assignments(5)[:, 0]),
        (assignments(4, 1)[0],),
    ),
    "update_marginal": Member(
        lambda probs, marginal, axis_name: losses.update_marginal(marginal, probs, axis_name=axis_name),
        given=(assignments(0),),
        fixed=(assignments(4, 1)[0],),
        by_sample=False,
    ),
    "confident_cross_entropy": Member(
        lambda strong, weak, axis_name: losses.confident_cross_entropy(
            weak, strong, threshold=0.7, axis_name=axis_name
        ),
        (vectors(0),),
        (3.0 * vectors(1),),
        by_sample=False,
    ),
    "one_hot_cross_entropy": Member(
        without_axis(losses.one_hot_cross_entropy, threshold=0.6), (assignments(0),), (assignments(1),)
    ),
    "jensen_shannon": Member(without_axis(losses.jensen_shannon), (vectors(0), vectors(1))),
    "pair_cross_entropy": Member(
        with_axis(losses.pair_cross_entropy, upper=0.8, lower=0.4),
        (assignments(0),),
        (assignments(1),),
        by_sample=False,
    ),
    "association": Member(
        lambda z, anchors, labels, axis_name: losses.association(anchors, z, labels, axis_name=axis_name),
        (vectors(0),),
        fixed=(vectors(1, 8), np.arange(8, dtype=np.int32) // 2),
        by_sample=False,
    ),
    "triplet": Member(
        lambda z, labels, axis_name: losses.triplet(z, labels, margin=0.3, gamma=0.8, axis_name=axis_name),
        (vectors(0),),
        (LABELS,),
        by_sample=False,
    ),
    "concentration": Member(
        lambda features, labels, centroids, axis_name: losses.concentration(features, centroids, labels),
        (vectors(0),),
        (LABELS,),
        (vectors(1, K),),
        by_sample=False,
    ),
    "proto_nce": Member(
        lambda z, labels, prototypes, phi, axis_name: losses.proto_nce(z, prototypes, phi, labels),
        (vectors(0),),
        (LABELS,),
        (unit_vectors(1, K), np.linspace(0.1, 0.4, K).astype(np.float32)),
    ),
    "proto_nce, sampled": Member(
        lambda z, labels, prototypes, phi, negatives, axis_name: losses.proto_nce(
            z, prototypes, phi, labels, negatives=negatives
        ),
        (vectors(0),),
        (LABELS,),
        (unit_vectors(1, K), np.linspace(0.1, 0.4, K).astype(np.float32), np.array([3, 0, 4], np.int32)),
    ),
    "prototype_scattering": Member(
        lambda z, targets, labels, axis_name: losses.prototype_scattering(
            z, targets, labels, K + 1, axis_name=axis_name
        ),
        (vectors(0),),
        (vectors(1), LABELS),
        by_sample=False,
    ),
    "view_prediction": Member(without_axis(losses.view_prediction), (vectors(0),), (vectors(1),)),
    "swapped_prediction": Member(
        # Three crops side by side here, and the codes of two.
        lambda scores, codes, axis_name: losses.swapped_prediction(
            jnp.moveaxis(scores.reshape(-1, 3, K), 1, 0),
            jnp.moveaxis(codes.reshape(-1, 2, K), 1, 0),
            temperature=0.7,
        ),
        (vectors(0, d=3 * K),),
        (np.concatenate([assignments(1), assignments(2)], axis=1),),
    ),
    "sinkhorn": Member(with_axis(losses.sinkhorn, epsilon=0.5), (vectors(0),)),
    "squared_error": Member(without_axis(losses.squared_error), (vectors(0), vectors(1))),
    "gaussian_kl": Member(without_axis(losses.gaussian_kl), (vectors(0), vectors(1))),
    "binary_cross_entropy": Member(without_axis(losses.binary_cross_entropy), (assignments(0), vectors(1, d=K))),
    "mixture_assignment": Member(
        without_axis(losses.mixture_assignment),
        (vectors(0),),
        fixed=(vectors(1, K), vectors(2, K), vectors(3, 1, K)[0]),
    ),
    "mixture_kl": Member(
        without_axis(losses.mixture_kl),
        (vectors(0), vectors(4), vectors(5)),
        fixed=(vectors(1, K), vectors(2, K), vectors(3, 1, K)[0]),
    ),
    "self_expression": Member(
        # By columns: each device holds some of the features of all samples.
        lambda z, c, axis_name: losses.self_expression(z.T, c).T,
        (vectors(0, B, N),),
        fixed=(vectors(1, N, N),),
    ),
    "canonical_correlation": Member(
        with_axis(losses.canonical_correlation, n_components=3), (vectors(0), vectors(1, B, 4)), by_sample=False
    ),
}
WHOLE_SET = {"concentration"}  # of the whole data set at once: no form for one device's block


def loss_of(result):
    """A scalar that no part of a result is without; the columns of a matrix weigh differently."""
    parts = [part for part in jax.tree.leaves(result) if jnp.issubdtype(part.dtype, jnp.inexact)]
    return sum(jnp.mean(part if part.ndim < 2 else part @ jnp.arange(1.0, 1.0 + part.shape[-1])) for part in parts)
