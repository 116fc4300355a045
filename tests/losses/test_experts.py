import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.losses import contrastive_experts, info_nce

RIGHT, UP = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_two_experts_by_hand():
    arguments = ([[1.0, -1.0]], [[RIGHT, UP]], [[RIGHT, RIGHT]], [RIGHT, UP], [[UP, UP]])
    loss, posterior = contrastive_experts(*(jnp.array(x, jnp.float32) for x in arguments))
    np.testing.assert_allclose(loss, [0.235706], atol=1e-5)
    np.testing.assert_allclose(np.exp(posterior), [[0.982014, 0.017986]], atol=1e-5)


def some(seed=0, b=6, k=3, d=4, m=9):
    rng = np.random.default_rng(seed)
    shapes = ((b, k), (b, k, d), (b, k, d), (k, d), (m, k, d))
    *first, queue = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return [*first, queue / np.linalg.norm(queue, axis=2, keepdims=True)]


def test_the_bound_is_tight():
    """The paper's evidence bound, mean sum_k q_k (ln pi_k + ln Phi_k - ln q_k), with the posterior as q."""
    gate, queries, keys, prototypes, queue = some()
    loss, log_posterior = contrastive_experts(gate, queries, keys, prototypes, queue, temperature=0.5)
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (queries, keys, prototypes)]
    prior = np.exp(gate) / np.exp(gate).sum(axis=1, keepdims=True)
    for i in range(6):
        bound = 0.0
        for j in range(3):
            towards = (unit[0][i, j] + unit[2][j]) / 0.5
            own, others = np.exp(towards @ unit[1][i, j]), np.exp(queue[:, j] @ towards).sum()
            q = np.exp(log_posterior[i, j])
            bound += q * (np.log(prior[i, j]) + np.log(own / (own + others)) - np.log(q))
        np.testing.assert_allclose(loss[i], -bound, rtol=1e-5)


def test_one_expert_without_a_prototype_is_moco():
    _, queries, keys, _, queue = some(k=1)
    nothing = np.zeros((1, 4), np.float32)
    loss, posterior = contrastive_experts(
        np.zeros((6, 1), np.float32), queries, keys, nothing, queue, temperature=0.2, n_filled=5
    )
    expected = info_nce(queries[:, 0], keys[:, 0], queue[:, 0], temperature=0.2, n_filled=5)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_array_equal(posterior, 0.0)


def test_the_order_of_experts_does_not_matter():
    arguments, order = some(), np.array([2, 0, 1])
    loss, posterior = contrastive_experts(*arguments)
    gate, queries, keys, prototypes, queue = arguments
    again = contrastive_experts(
        gate[:, order], queries[:, order], keys[:, order], prototypes[order], queue[:, order]
    )
    np.testing.assert_allclose(again[0], loss, rtol=1e-5)
    np.testing.assert_allclose(again[1], posterior[:, order], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gate", [0.0, 1e4])
def test_collapse_and_an_empty_queue_stay_finite(gate):
    _, queries, keys, prototypes, queue = some()
    logits = gate * jnp.eye(6, 3)
    for z in (np.zeros_like(queries), np.ones_like(queries), queries):
        for n_filled in (0, 9):

            def loss(logits, z, mu, n_filled=n_filled):
                return jnp.mean(contrastive_experts(logits, z, z, mu, queue, n_filled=n_filled)[0])

            result = jax.value_and_grad(loss, (0, 1, 2))(logits, jnp.asarray(z), jnp.asarray(prototypes))
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
    loss, posterior = contrastive_experts(some()[0], queries, keys, prototypes, queue, n_filled=0)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
    np.testing.assert_allclose(posterior, jax.nn.log_softmax(some()[0], axis=1), rtol=1e-5, atol=1e-6)
