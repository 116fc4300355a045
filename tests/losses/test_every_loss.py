"""What holds for every function: gradients, edges, half precision, a complete list."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from losses.members import MEMBERS, B, D, K, loss_of

from jaxdc import losses

LEARNED = [name for name, m in MEMBERS.items() if m.learned]


def test_every_public_function_is_a_member():
    public = {name for name, value in vars(losses).items() if callable(value) and not name.startswith("_")}
    assert public == {name.split(",")[0] for name in MEMBERS}


def loss(member, learned, rows=slice(None)):
    given = [x[rows] for x in member.given]
    return loss_of(member.call(*learned, *given, *member.fixed, axis_name=None))


@pytest.mark.parametrize("name", LEARNED)
def test_gradient_against_finite_differences_in_float64(name):
    member = MEMBERS[name]
    with jax.enable_x64(True):
        member = member._replace(
            fixed=tuple(
                np.asarray(x, np.float64) if np.asarray(x).dtype == np.float32 else x for x in member.fixed
            )
        )
        point = [jnp.asarray(x, jnp.float64) for x in member.learned]
        rng = np.random.default_rng(3)
        direction = [jnp.asarray(rng.normal(size=x.shape)) for x in point]
        value_and_grad = jax.jit(jax.value_and_grad(functools.partial(loss, member)))

        def at(step):
            return value_and_grad([x + step * v for x, v in zip(point, direction, strict=True)])

        slope = (at(1e-7)[0] - at(-1e-7)[0]) / 2e-7
        gradient = at(0.0)[1]
        along = sum(jnp.sum(g * v) for g, v in zip(gradient, direction, strict=True))
        assert along.dtype == jnp.float64
        np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-7)


EDGES = {
    "zeros": lambda x: np.zeros_like(x),
    "a row of zeros": lambda x: np.concatenate([np.zeros_like(x[:1]), x[1:]]),
    "duplicates": lambda x: np.repeat(x[:1], len(x), 0),
    "huge": lambda x: np.where(np.arange(x.shape[1]) % 2, 1e4, -1e4) * (1 + 1e-3 * x),
    "one-hot": lambda x: np.eye(x.shape[1])[np.arange(len(x)) % x.shape[1]],
    "one column alone": lambda x: np.eye(x.shape[1])[np.zeros(len(x), int)],
}


@pytest.mark.parametrize("n_rows", [*(pytest.param(n, marks=pytest.mark.full) for n in (B, 2)), 1])
@pytest.mark.parametrize("name", LEARNED)
def test_finite_value_and_gradient_at_the_edges(name, n_rows):
    member = MEMBERS[name]
    if name == "self_expression":
        n_rows = B  # features here, not samples
    learned = [x[:n_rows] for x in member.learned]
    value_and_grad = jax.jit(jax.value_and_grad(functools.partial(loss, member, rows=slice(n_rows))))
    for edge, change in {"as they are": lambda x: x, **EDGES}.items():
        if edge == "huge" and name in ("gaussian_kl", "mixture_kl"):
            continue  # a variance of e^10000
        result = value_and_grad([change(x).astype(np.float32) for x in learned])
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(result)), edge


@pytest.mark.parametrize("name", MEMBERS)
def test_half_precision_is_computed_in_float32(name):
    member = MEMBERS[name]

    def call(*learned):
        return member.call(*learned, *member.given, *member.fixed, axis_name=None)

    learned = [x.astype(jnp.bfloat16) for x in member.learned]
    for result in jax.tree.leaves(jax.eval_shape(call, *learned)):
        assert result.dtype != jnp.bfloat16
    if learned:
        assert str(jax.make_jaxpr(call)(*learned)).count("bf16[") <= 3 * len(learned)


@pytest.mark.full
@pytest.mark.parametrize("name", LEARNED)
def test_half_precision_has_the_value_of_the_same_numbers_in_float32(name):
    member = MEMBERS[name]
    call = jax.jit(lambda *learned: member.call(*learned, *member.given, *member.fixed, axis_name=None))
    learned = [x.astype(jnp.bfloat16) for x in member.learned]
    exact = [x.astype(np.float32) for x in learned]
    np.testing.assert_array_equal(loss_of(call(*learned)), loss_of(call(*exact)))


ONE = jnp.ones((4, 1))


@pytest.mark.full
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: losses.cluster_nt_xent(x, ONE), 0.0),
        (lambda x: losses.mean_entropy(x), 0.0),
        (lambda x: losses.mutual_information(x, ONE), 0.0),
        (lambda x: losses.partition_uncertainty(x, ONE), 0.0),
        (lambda x: losses.student_t_assignment(x, jnp.ones((1, 1))), 1.0),
        (lambda x: losses.target_distribution(x), 1.0),
        (lambda x: losses.sinkhorn(x), 1.0),
        (lambda x: losses.cross_entropy(x, ONE), 0.0),
        (lambda x: losses.smoothed_cross_entropy(x, jnp.zeros(4, jnp.int32)), 0.0),
        (lambda x: losses.sharpen(x), 1.0),
        (lambda x: losses.one_hot_cross_entropy(x, ONE), 0.0),
        (lambda x: losses.neighbor_consistency(x, ONE), 0.0),
        (lambda x: losses.confident_cross_entropy(x, x)[0], 0.0),
        (lambda x: losses.temi(x, x, ONE, ONE, jnp.ones(1)), 0.0),
    ],
)
def test_a_single_cluster(call, expected):
    value, gradient = jax.value_and_grad(lambda x: jnp.mean(call(x)))(ONE)
    np.testing.assert_allclose(value, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


V, P, INDEX = jnp.ones((4, D)), jnp.full((4, K), 1 / K), jnp.zeros(4, jnp.int32)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: losses.nt_xent(V[0], V), "z1 must be a matrix"),
        (lambda: losses.nt_xent(V, V[:3]), r"z1 \(4, 6\) and z2 \(3, 6\)"),
        (lambda: losses.nt_xent(V, V, temperature=0.0), "temperature must be a positive number"),
        (lambda: losses.nt_xent(V, V, temperature=jnp.float32(-1.0)), "temperature"),
        (lambda: losses.nt_xent(V, V, temperature=float("nan")), "temperature"),
        (lambda: losses.nt_xent(V, V, anchors="second"), "anchors must be 'both' or 'first'"),
        (lambda: losses.nt_xent(V, V, block_size=0), "block_size"),
        (lambda: losses.smoothed_cross_entropy(P, INDEX[:3]), "labels has 3 entries, but logits has 4 rows"),
        (lambda: losses.smoothed_cross_entropy(P, INDEX, smoothing=1.5), "smoothing"),
        (lambda: losses.sharpen(P, temperature=0.0), "temperature must be a positive number"),
        (lambda: losses.invariant_spreading(V, V[:3]), r"z1 \(4, 6\) and z2 \(3, 6\)"),
        (lambda: losses.one_hot_cross_entropy(P, V), "teacher_probs"),
        (lambda: losses.one_hot_cross_entropy(P, P, threshold=-0.1), "threshold"),
        (lambda: losses.jensen_shannon(V, V[:3]), r"positive_scores \(4, 6\) and negative_scores \(3, 6\)"),
        (lambda: losses.in_batch_softmax(V, V[:3]), r"queries \(4, 6\) and keys \(3, 6\)"),
        (lambda: losses.in_batch_softmax(V, V, temperature=0.0), "temperature must be a positive number"),
        (lambda: losses.in_batch_softmax(V, V, query_ids=INDEX), "query_ids are compared with key_ids"),
        (lambda: losses.in_batch_softmax(V, V, key_ids=INDEX[:3]), "key_ids has 3 entries, but keys has 4 rows"),
        (
            lambda: losses.in_batch_softmax(V, V, key_ids=INDEX, query_ids=V[:, 0]),
            "query_ids must be a vector of int",
        ),
        (lambda: losses.in_batch_softmax(V, V, log_q=V[:3, 0]), r"log_q must be a vector \[4\]"),
        (lambda: losses.pair_cross_entropy(P, P[:3], upper=0.9, lower=0.4), r"probs .* and teacher_probs"),
        (lambda: losses.pair_cross_entropy(P, P, upper=1.5, lower=0.4), "upper must be from 0 to 1"),
        (lambda: losses.pair_cross_entropy(P, P, upper=0.4, lower=0.5), "lower must be at most upper, 0.4"),
        (lambda: losses.association(P, V, INDEX), "z has 6 columns, but anchors has 5"),
        (lambda: losses.association(V, V, INDEX[:3]), "labels has 3 entries, but anchors has 4 rows"),
        (lambda: losses.triplet(V, INDEX[:3]), "labels has 3 entries, but z has 4 rows"),
        (lambda: losses.triplet(V, INDEX, gamma=0.0), "gamma must be a positive number"),
        (lambda: losses.triplet(V, INDEX, margin=-1.0), "margin must be at least 0, but is -1.0"),
        (lambda: losses.info_nce(V, V, P), "queue has 5 columns, but queries has 6"),
        (lambda: losses.info_nce(V, V[:2], V), "keys"),
        (lambda: losses.info_nce(V, V, V, temperature=-1), "temperature"),
        (
            lambda: losses.contrastive_experts(P, V[:, None], V[:, None], V[:1], V[:, None]),
            r"queries must have shape \(4, 5, 6\) with gate_logits \(4, 5\), but has \(4, 1, 6\)",
        ),
        (
            lambda: losses.contrastive_experts(P[:, :1], V[:, None], V[:, None], V[:1], V),
            r"queue must have shape \[m, 1, 6\], but has \[4, 6\]",
        ),
        (
            lambda: losses.contrastive_experts(P[:, :1], V[:, None], V[:, None], V[:1], V[:, None], temperature=0),
            "temperature must be a positive number",
        ),
        (lambda: losses.update_queue(V[:3], 0, V), "keys has 4 rows .* queue, which has 3"),
        (lambda: losses.update_queue(P, 0, V), "queue has 5 columns"),
        (lambda: losses.update_queue(V[:, None], 0, V), r"queue \[4, 1, 6\] .* keys \[4, 6\]"),
        (lambda: losses.update_queue(V, 0, V[0]), "keys must be at least a matrix"),
        (lambda: losses.cluster_nt_xent(P, V), "probs1 .* probs2"),
        (lambda: losses.cluster_nt_xent(P, P, temperature=0), "temperature"),
        (lambda: losses.mean_entropy(P[0]), "probs must be a matrix"),
        (lambda: losses.mutual_information(P, P[:2]), "probs2"),
        (lambda: losses.partition_uncertainty(P[:, :, None], P), "probs1 must be a matrix"),
        (lambda: losses.instance_discrimination(V, V, INDEX[:3]), "index has 3 entries, but z has 4 rows"),
        (lambda: losses.instance_discrimination(V, V, V[:, 0]), "index must be a vector of integers"),
        (lambda: losses.instance_discrimination(V, P, INDEX), "memory_bank has 5 columns"),
        (lambda: losses.instance_discrimination(V, None, None, temperature=0), "temperature"),
        (lambda: losses.update_memory_bank(V, V, INDEX, momentum=1.5), "momentum must be from 0 to 1"),
        (lambda: losses.update_memory_bank(P, V, INDEX), "memory_bank"),
        (lambda: losses.feature_decorrelation(V[0]), "z must be a matrix"),
        (lambda: losses.feature_decorrelation(V, temperature=0.0), "temperature"),
        (lambda: losses.feature_orthogonality(V[None]), "z must be a matrix"),
        (lambda: losses.neighbor_consistency(P, P[:2]), "neighbor_logits"),
        (lambda: losses.temi(P, P[:2], P, P, P[0]), "student_neighbor_logits"),
        (lambda: losses.temi(P, P, P, V, P[0]), "teacher_neighbor_logits"),
        (lambda: losses.temi(P, P, V, V, P[0]), r"student_logits \(4, 5\) and teacher_logits \(4, 6\)"),
        (lambda: losses.temi(P, P, P, P, V[0]), r"marginal must have shape \(5,\)"),
        (lambda: losses.temi(P, P, P, P, P[0], beta=1.5), "beta must be from 0 to 1"),
        (lambda: losses.temi(P, P, P, P, P[0], weights=P), r"weights must have shape \(4,\)"),
        (lambda: losses.update_marginal(P[0], V), r"marginal must have shape \(6,\)"),
        (lambda: losses.update_marginal(P[0], P, momentum=2.0), "momentum must be from 0 to 1"),
        (lambda: losses.confident_cross_entropy(P, V), "strong_logits"),
        (lambda: losses.confident_cross_entropy(P, P, threshold=1.2), "threshold"),
        (lambda: losses.concentration(V, P, INDEX), "centroids has 5 columns, but features has 6"),
        (lambda: losses.concentration(V, V, INDEX[:2]), "labels has 2 entries"),
        (lambda: losses.concentration(V, V, INDEX, smoothing=0.0), "smoothing"),
        (lambda: losses.concentration(V, V, INDEX, temperature=0.0), "temperature"),
        (lambda: losses.proto_nce(V, V, jnp.ones(3), INDEX), r"concentration must have shape \(4,\)"),
        (lambda: losses.proto_nce(V, P, jnp.ones(4), INDEX), "prototypes has 5 columns"),
        (
            lambda: losses.proto_nce(V, V, jnp.ones(4), INDEX, negatives=V[:, 0]),
            "negatives must be a vector of integers",
        ),
        (lambda: losses.sinkhorn(V[0]), "scores must be a matrix"),
        (lambda: losses.sinkhorn(V, epsilon=0.0), "epsilon"),
        (lambda: losses.sinkhorn(V, n_iterations=0), "n_iterations"),
        (lambda: losses.self_expression(V, V), r"coefficients must be \(4, 4\)"),
        (lambda: losses.canonical_correlation(V, V[:2]), "z1 has 4 rows, but z2 has 2"),
        (lambda: losses.canonical_correlation(V, P, n_components=6), "n_components must be from 1 to 5"),
        (lambda: losses.canonical_correlation(V, P, regularization=0.0), "regularization"),
        (lambda: losses.squared_error(V, P), "reconstruction"),
        (lambda: losses.squared_error(V[0], V[0]), "feature axis"),
        (lambda: losses.gaussian_kl(V, P), "log_variance"),
        (lambda: losses.binary_cross_entropy(V, P), "logits"),
        (lambda: losses.mixture_assignment(V, P, P, P[0]), "centroids has 5 columns, but z has 6"),
        (lambda: losses.mixture_assignment(V, V, V[:3], V[:, 0]), "log_variances"),
        (lambda: losses.mixture_assignment(V, V, V, V[0]), r"logits must be a vector \[4\]"),
        (lambda: losses.mixture_kl(V, V, P, V, V, V[:, 0]), "log_variance"),
        (lambda: losses.mixture_kl(V[:3], V, V, V, V, V[:, 0]), "z .* and mean"),
        (lambda: losses.student_t_assignment(V[0], V), "z must be a matrix"),
        (lambda: losses.student_t_assignment(V, P), "centroids has 5 columns"),
        (lambda: losses.student_t_assignment(V, V, alpha=0.0), "alpha"),
        (lambda: losses.target_distribution(P[None]), "q must be a matrix"),
        (lambda: losses.target_distribution(P, cluster_frequency=jnp.ones(2)), "cluster_frequency"),
        (lambda: losses.kl_divergence(P, V), r"p \(4, 5\) and q \(4, 6\)"),
        (lambda: losses.cross_entropy(V, P), r"logits \(4, 6\) and p \(4, 5\)"),
    ],
)
def test_wrong_arguments_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_a_traced_temperature_is_let_through():
    value = jax.jit(lambda t: losses.nt_xent(V, V, temperature=t))(0.5)
    np.testing.assert_allclose(value, losses.nt_xent(V, V, temperature=0.5), rtol=1e-6)
