import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from losses.members import vectors

from jaxdc.losses import in_batch_softmax, info_nce, nt_xent, update_queue

# Two samples on the axes of the plane: cosines are 1, 0 and -1, so that all can be done by hand.
A, B, C = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def test_nt_xent_by_hand():
    # Anchor a of sample 1: its positive has cosine 0, the others 1 (a of 3) and -1 (c twice), 0 (b).
    z1, z2 = jnp.array([A, C, A]), jnp.array([B, C, B])
    # Views in order a, c, a | b, c, b. For z1[0] = a: c -1, a 1, b 0 (positive), c -1, b 0.
    first = np.log(2 * np.exp(-1) + np.exp(1) + 2) - 0
    # For z2[0] = b: a 0 (positive), c 0, a 0, c 0, b 1.
    second = np.log(4 + np.exp(1)) - 0
    # For z1[1] = c: a -1 twice, its positive c 1, b 0 twice; the same for z2[1].
    middle = np.log(2 * np.exp(-1) + np.exp(1) + 2) - 1
    expected = [(first + second) / 2, middle, (first + second) / 2]
    np.testing.assert_allclose(nt_xent(z1, z2, temperature=1.0), expected, rtol=1e-6)
    np.testing.assert_allclose(
        nt_xent(z1, z2, temperature=1.0, anchors="first"), [first, middle, first], rtol=1e-6
    )


@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
def test_nt_xent_is_optaxs(temperature):
    z1, z2 = vectors(0, 20), vectors(1, 20)
    labels = np.tile(np.arange(20), 2)
    oracle = optax.losses.ntxent(np.concatenate([z1, z2]), labels, temperature=temperature)
    np.testing.assert_allclose(nt_xent(z1, z2, temperature=temperature).mean(), oracle, rtol=1e-5)


# At the high temperature a padded key that counts is seen, at the low one a sum that overflows.
@pytest.mark.full
@pytest.mark.parametrize(("anchors", "temperature"), [("both", 1.0), ("first", 1.0), ("both", 0.02)])
@pytest.mark.parametrize("block_size", [1, 7, 19, 20])
def test_blocks_change_nothing(block_size, anchors, temperature):
    z1, z2 = vectors(0, 20), vectors(1, 20)

    def both(block_size):
        def loss(z1, z2):
            value = nt_xent(z1, z2, temperature=temperature, anchors=anchors, block_size=block_size)
            return value @ jnp.linspace(1.0, 2.0, 20), value

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(z1, z2)

    (_, value), gradient = both(block_size)
    (_, expected), expected_gradient = both(None)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    for g, e in zip(gradient, expected_gradient, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-4)


def test_nt_xent_does_not_mind_order_scale_or_which_view_is_first():
    z1, z2 = vectors(0, 20), vectors(1, 20)
    value = nt_xent(z1, z2)
    order = np.random.default_rng(0).permutation(20)
    np.testing.assert_allclose(nt_xent(z1[order], z2[order]), value[order], rtol=1e-5)
    np.testing.assert_allclose(nt_xent(z2, z1), value, rtol=1e-5)
    np.testing.assert_allclose(nt_xent(1e-3 * z1, 50.0 * z2), value, rtol=1e-5)
    assert np.abs(nt_xent(z2, z1, anchors="first") - nt_xent(z1, z2, anchors="first")).max() > 1e-3


@pytest.mark.full
def test_a_single_sample_has_nothing_to_be_told_from():
    np.testing.assert_allclose(nt_xent(vectors(0, 1), vectors(1, 1)), 0.0, atol=1e-6)


def test_info_nce_by_hand_and_the_scale_of_its_arguments():
    queue = jnp.array([B, C])
    value = info_nce(jnp.array([A]), jnp.array([B]), queue, temperature=1.0)
    np.testing.assert_allclose(value, np.log(1 + 1 + np.exp(-1)), rtol=1e-6)
    scaled = info_nce(jnp.array([A]) * 30, jnp.array([B]) * 0.1, queue, temperature=1.0)
    np.testing.assert_allclose(scaled, value, rtol=1e-6)


def test_info_nce_is_a_cross_entropy_with_the_key_in_front():
    q, k, queue = vectors(0), vectors(1), vectors(2, 30)
    queue /= np.linalg.norm(queue, axis=1, keepdims=True)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, k)]
    logits = np.concatenate([(unit[0] * unit[1]).sum(1, keepdims=True), unit[0] @ queue.T], axis=1) / 0.2
    oracle = optax.losses.softmax_cross_entropy_with_integer_labels(logits, np.zeros(len(q), int))
    np.testing.assert_allclose(info_nce(q, k, queue), oracle, rtol=1e-5, atol=1e-6)


def test_the_queue_turns_over_oldest_first():
    queue, position = jnp.zeros((5, 2)), 0
    for i in range(4):
        keys = jnp.array([[np.cos(i), np.sin(i)], [np.cos(i + 0.5), np.sin(i + 0.5)]]) * (i + 1)
        queue, position = update_queue(queue, position, keys)
    # Eight keys into five rows: rows 0 to 2 hold the sixth to eighth, rows 3 and 4 the fourth and fifth.
    angles = np.array([2.5, 3.0, 3.5, 1.5, 2.0])
    np.testing.assert_allclose(queue, np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-6)
    assert position == 3 and position.dtype == jnp.int32
    full, position = update_queue(queue, 2, vectors(0, 5, 2))
    np.testing.assert_allclose(np.linalg.norm(full, axis=1), 1.0, rtol=1e-5)
    assert position == 2


def temporaries(b, d, block_size):
    def loss(z1, z2):
        return jnp.mean(nt_xent(z1, z2, block_size=block_size))

    shape = jax.ShapeDtypeStruct((b, d), jnp.float32)
    compiled = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(shape, shape).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_blocks_bound_the_memory_of_value_and_gradient():
    mebibyte = 2**20
    assert temporaries(16_384, 128, 128) < 256 * mebibyte
    assert temporaries(65_536, 128, 128) < 2048 * mebibyte
    assert temporaries(16_384, 128, None) > 4096 * mebibyte


@pytest.mark.full
def test_blocks_bound_the_memory_on_several_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("data")

    def loss(z1, z2):
        def local(z1, z2):
            return jax.lax.pmean(jnp.mean(nt_xent(z1, z2, axis_name="data", block_size=256)), "data")

        return jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=jax.sharding.PartitionSpec())(z1, z2)

    def plain(z1, z2):
        return jnp.mean(nt_xent(z1, z2, block_size=256))

    shape = jax.ShapeDtypeStruct((16_384, 128), jnp.float32, sharding=jax.NamedSharding(mesh, spec))
    for function in (loss, plain):
        compiled = jax.jit(jax.value_and_grad(function, (0, 1))).lower(shape, shape).compile()
        # 4,096 own views against 2 x 256: 8 MiB a matrix; the gathered views and their gradients 16 MiB each.
        assert compiled.memory_analysis().temp_size_in_bytes < 128 * 2**20


@pytest.mark.full
@pytest.mark.parametrize("n_filled", [0, 1, 5, 9])
def test_info_nce_of_a_queue_that_is_not_full(n_filled):
    q, k, queue = (jax.random.normal(jax.random.key(i), (n, 4)) for i, n in enumerate((6, 6, 9)))
    queue /= jnp.linalg.norm(queue, axis=1, keepdims=True)

    def value(q, queue, **n):
        return jnp.sum(info_nce(q, k, queue, **n))

    loss, gradient = jax.value_and_grad(value)(q, queue, n_filled=jnp.int32(n_filled))
    expected, expected_gradient = jax.value_and_grad(value)(q, queue[:n_filled])
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


def test_in_batch_softmax_by_hand():
    # Queries a, b, c with the keys b, b, a; the cosines of a are 0, 0, 1, those of b 1, 1, 0, those of c 0, 0, -1.
    q, k = jnp.array([A, B, C]), jnp.array([B, B, A])
    expected = [np.log(2 + np.e) - 0, np.log(2 * np.e + 1) - 1, np.log(2 + 1 / np.e) + 1]
    np.testing.assert_allclose(in_batch_softmax(q, k, temperature=1.0), expected, rtol=1e-6)
    # The first two keys are one item, which must not stand against itself.
    key_ids = jnp.array([5, 5, 9])
    expected = [np.log(1 + np.e) - 0, np.log(np.e + 1) - 1, np.log(2 + 1 / np.e) + 1]
    np.testing.assert_allclose(in_batch_softmax(q, k, key_ids=key_ids, temperature=1.0), expected, rtol=1e-6)
    # The first query is the third key: of the keys its own is left, alone, with certainty.
    value = in_batch_softmax(q, k, key_ids=key_ids, query_ids=jnp.array([9, 1, 2]), temperature=1.0)
    np.testing.assert_allclose(value, [0.0, *expected[1:]], atol=1e-6)


def test_in_batch_softmax_takes_back_how_often_a_key_is_drawn():
    q, k = jnp.array([A, B, C]), jnp.array([B, B, A])
    log_q = np.log([0.5, 0.5, 0.25])
    scores = np.array([[0, 0, 1], [1, 1, 0], [0, 0, -1.0]]) / 0.5 - log_q
    expected = np.log(np.exp(scores).sum(axis=1)) - np.diagonal(scores)
    np.testing.assert_allclose(in_batch_softmax(q, k, log_q=log_q, temperature=0.5), expected, rtol=1e-5)
    constant = in_batch_softmax(q, k, log_q=log_q + 3.0, temperature=0.5)
    np.testing.assert_allclose(constant, expected, rtol=1e-5)


def test_in_batch_softmax_without_ids_and_popularity_is_info_nce_of_one_row():
    q, k = vectors(0, 20), vectors(1, 20)
    unit = k / np.linalg.norm(k, axis=1, keepdims=True)
    value = in_batch_softmax(q, k, temperature=0.3)
    for i in range(20):
        one = info_nce(q[i : i + 1], k[i : i + 1], np.delete(unit, i, axis=0), temperature=0.3)
        np.testing.assert_allclose(value[i], one[0], rtol=1e-5)


def test_a_key_that_is_left_out_gets_no_gradient():
    q, k = vectors(0, 3), vectors(1, 3)

    def first(k):
        return in_batch_softmax(q, k, query_ids=jnp.array([1, 2, 3]), key_ids=jnp.array([4, 4, 1]))[0]

    np.testing.assert_array_equal(jax.grad(first)(k)[1:], 0.0)
