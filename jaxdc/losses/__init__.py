"""Losses and assignment functions for deep clustering, as pure functions of arrays.

They depend on no network, optimizer or device mesh, and importing them loads only JAX.
A loss returns one value per sample, ``[b]``, if it can; the caller takes the mean.

Losses that depend on the whole batch are computed over the global batch. Under ``jax.jit`` with a sharded batch
this needs no extra code. Inside ``jax.shard_map`` or ``jax.pmap``, pass ``axis_name``: inputs are then this
device's equal-sized block, ``[b]`` results belong to its samples, and ``[k]``, ``[d]`` and scalar results cover
the global batch and are equal on all devices. ``jax.lax.pmean(jnp.mean(loss), axis_name)`` is the global
loss, and the function to differentiate; under ``pmap`` or ``check_vma=False``, also take the pmean of the
gradients.
"""

from jaxdc.losses.assignment import cross_entropy as cross_entropy
from jaxdc.losses.assignment import kl_divergence as kl_divergence
from jaxdc.losses.assignment import sharpen as sharpen
from jaxdc.losses.assignment import sinkhorn as sinkhorn
from jaxdc.losses.assignment import smoothed_cross_entropy as smoothed_cross_entropy
from jaxdc.losses.assignment import student_t_assignment as student_t_assignment
from jaxdc.losses.assignment import target_distribution as target_distribution
from jaxdc.losses.association import association as association
from jaxdc.losses.clusters import cluster_nt_xent as cluster_nt_xent
from jaxdc.losses.clusters import information_maximisation as information_maximisation
from jaxdc.losses.clusters import mean_entropy as mean_entropy
from jaxdc.losses.clusters import mutual_information as mutual_information
from jaxdc.losses.clusters import partition_uncertainty as partition_uncertainty
from jaxdc.losses.consistency import confident_cross_entropy as confident_cross_entropy
from jaxdc.losses.consistency import neighbor_consistency as neighbor_consistency
from jaxdc.losses.consistency import temi as temi
from jaxdc.losses.consistency import update_marginal as update_marginal
from jaxdc.losses.contrastive import in_batch_softmax as in_batch_softmax
from jaxdc.losses.contrastive import info_nce as info_nce
from jaxdc.losses.contrastive import nt_xent as nt_xent
from jaxdc.losses.contrastive import update_queue as update_queue
from jaxdc.losses.experts import contrastive_experts as contrastive_experts
from jaxdc.losses.instance import feature_decorrelation as feature_decorrelation
from jaxdc.losses.instance import feature_orthogonality as feature_orthogonality
from jaxdc.losses.instance import instance_discrimination as instance_discrimination
from jaxdc.losses.instance import invariant_spreading as invariant_spreading
from jaxdc.losses.instance import local_aggregation as local_aggregation
from jaxdc.losses.instance import update_memory_bank as update_memory_bank
from jaxdc.losses.mixture import mixture_assignment as mixture_assignment
from jaxdc.losses.mixture import mixture_kl as mixture_kl
from jaxdc.losses.pairs import jensen_shannon as jensen_shannon
from jaxdc.losses.pairs import one_hot_cross_entropy as one_hot_cross_entropy
from jaxdc.losses.pairs import pair_cross_entropy as pair_cross_entropy
from jaxdc.losses.prediction import swapped_prediction as swapped_prediction
from jaxdc.losses.prediction import view_prediction as view_prediction
from jaxdc.losses.prototype import concentration as concentration
from jaxdc.losses.prototype import proto_nce as proto_nce
from jaxdc.losses.prototype import prototype_scattering as prototype_scattering
from jaxdc.losses.reconstruction import binary_cross_entropy as binary_cross_entropy
from jaxdc.losses.reconstruction import gaussian_kl as gaussian_kl
from jaxdc.losses.reconstruction import squared_error as squared_error
from jaxdc.losses.subspace import canonical_correlation as canonical_correlation
from jaxdc.losses.subspace import self_expression as self_expression
from jaxdc.losses.triplets import triplet as triplet
