import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from jaxdc.losses import kl_divergence, student_t_assignment, target_distribution


def random_q(n=40, k=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.3), size=n).astype(np.float32)


def test_student_t_by_hand():
    # Distances 0 and 4 from the first sample, 4 and 0 from the second, 1 and 1 from the third.
    z, centroids = jnp.array([[0.0], [2.0], [1.0]]), jnp.array([[0.0], [2.0]])
    expected = [[1 / 1.2, 0.2 / 1.2], [0.2 / 1.2, 1 / 1.2], [0.5, 0.5]]
    np.testing.assert_allclose(student_t_assignment(z, centroids), expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_student_t_is_the_ratio_of_t_densities(alpha):
    from scipy.stats import t

    rng = np.random.default_rng(0)
    z, centroids = rng.normal(size=(30, 4)), rng.normal(size=(6, 4))
    distances = np.linalg.norm(z[:, None] - centroids, axis=2)
    density = t.pdf(distances, df=alpha)
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(student_t_assignment(z, centroids, alpha=alpha), expected, rtol=2e-5)


def test_student_t_far_away_keeps_the_nearest_and_its_gradient():
    z = jnp.array([[1e4, 0.0]])
    centroids = jnp.array([[1e4, 1.0], [-1e4, 0.0]])
    assert student_t_assignment(z, centroids)[0, 0] > 0.999
    gradient = jax.grad(lambda z: student_t_assignment(z, centroids)[0, 0])(z)
    assert np.isfinite(gradient).all()


def test_target_by_hand():
    q = jnp.array([[0.9, 0.1], [0.6, 0.4], [0.0, 1.0]])
    f = np.array([1.5, 1.5])
    weight = np.array([[0.81, 0.01], [0.36, 0.16], [0.0, 1.0]]) / f
    np.testing.assert_allclose(target_distribution(q), weight / weight.sum(1, keepdims=True), rtol=1e-6)


def test_target_divides_by_the_frequency_of_the_cluster():
    # Both samples are undecided; the cluster that others crowd must lose.
    q = jnp.array([[0.5, 0.5], [0.9, 0.1], [0.9, 0.1]])
    p = target_distribution(q)
    assert p[0, 1] > 0.75 > 0.25 > p[0, 0]


def test_target_of_a_part_needs_the_frequency_of_the_whole():
    q = random_q()
    whole = target_distribution(q)
    np.testing.assert_allclose(target_distribution(q[:7], cluster_frequency=q.sum(0)), whole[:7], rtol=1e-6)
    assert np.abs(target_distribution(q[:7]) - whole[:7]).max() > 0.01


def test_target_with_an_empty_cluster_is_finite():
    q = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(target_distribution(q), q)
    assert np.isfinite(jax.grad(lambda q: target_distribution(q)[0, 0])(q)).all()


def test_kl_against_scipy():
    p, q = random_q(seed=1), random_q(seed=2)
    expected = scipy.special.rel_entr(p.astype(np.float64), q.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(kl_divergence(p, q), expected, rtol=1e-4, atol=1e-6)


def test_kl_at_zero_and_one_has_finite_value_and_gradient():
    p, q = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.5, 0.5], [1.0, 0.0]])
    value, gradients = jax.value_and_grad(lambda p, q: kl_divergence(p, q).sum(), (0, 1))(p, q)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(kl_divergence(p, p), 0.0)


def test_half_precision_is_computed_in_float32():
    q = student_t_assignment(jnp.ones((3, 2), jnp.bfloat16), jnp.zeros((4, 2), jnp.bfloat16))
    assert q.dtype == jnp.float32


def test_relabelled_clusters_and_shuffled_samples_change_nothing_else():
    q = random_q()
    rows, columns = np.random.default_rng(1).permutation(len(q)), [3, 1, 0, 4, 2]
    p = np.asarray(target_distribution(q))
    np.testing.assert_allclose(target_distribution(q[rows][:, columns]), p[rows][:, columns], rtol=1e-5)


@pytest.mark.parametrize("n_devices", [1, 2, 4, 8])
@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_target_under_shard_map_is_that_of_the_global_batch(n_devices, axis_type):
    q = jnp.asarray(random_q())
    mesh = jax.make_mesh((n_devices,), ("data",), axis_types=(axis_type,), devices=jax.devices()[:n_devices])

    def loss(q):
        def local(q):
            p = target_distribution(q, axis_name="data")
            return jax.lax.pmean(jnp.mean(kl_divergence(p, q)), "data")

        return jax.shard_map(local, mesh=mesh, in_specs=P("data"), out_specs=P())(q)

    def plain(q):
        return jnp.mean(kl_divergence(target_distribution(q), q))

    sharded = jax.device_put(q, jax.NamedSharding(mesh, P("data")))
    value, gradient = jax.jit(jax.value_and_grad(loss))(sharded)
    expected_value, expected_gradient = jax.value_and_grad(plain)(q)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    # The same without an axis name, on a batch that the compiler shards.
    np.testing.assert_allclose(jax.jit(plain)(sharded), expected_value, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: student_t_assignment(jnp.ones(3), jnp.ones((2, 3))), "z must be a matrix"),
        (lambda: student_t_assignment(jnp.ones((2, 3)), jnp.ones((2, 4))), "centroids has 4 columns"),
        (lambda: student_t_assignment(jnp.ones((2, 3)), jnp.ones((2, 3)), alpha=0.0), "alpha"),
        (lambda: target_distribution(jnp.ones((2, 3, 4))), "q must be a matrix"),
        (lambda: target_distribution(jnp.ones((2, 3)), cluster_frequency=jnp.ones(2)), "cluster_frequency"),
        (lambda: kl_divergence(jnp.ones((2, 3)), jnp.ones((2, 2))), r"p \(2, 3\) and q \(2, 2\)"),
    ],
)
def test_wrong_arguments_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()
