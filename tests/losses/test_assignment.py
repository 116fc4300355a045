import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxdc.losses import (
    kl_divergence,
    sharpen,
    sinkhorn,
    smoothed_cross_entropy,
    student_t_assignment,
    target_distribution,
)


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


def test_relabelled_clusters_and_shuffled_samples_change_nothing_else():
    q = random_q()
    rows, columns = np.random.default_rng(1).permutation(len(q)), [3, 1, 0, 4, 2]
    p = np.asarray(target_distribution(q))
    np.testing.assert_allclose(target_distribution(q[rows][:, columns]), p[rows][:, columns], rtol=1e-5)


def reference_sinkhorn(scores, epsilon, n_iterations):
    q = np.exp(scores.astype(np.float64) / epsilon)
    q /= q.sum()
    for _ in range(n_iterations):
        q /= q.sum(0, keepdims=True) * q.shape[1]
        q /= q.sum(1, keepdims=True) * q.shape[0]
    return q * len(q)


@pytest.mark.parametrize("n_iterations", [1, 3, 50])
def test_sinkhorn_in_logarithms_is_sinkhorn(n_iterations):
    scores = np.random.default_rng(0).uniform(-1, 1, size=(24, 6)).astype(np.float32)
    q = sinkhorn(scores, n_iterations=n_iterations)
    np.testing.assert_allclose(q, reference_sinkhorn(scores, 0.05, n_iterations), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(q.sum(1), 1.0, rtol=1e-5)
    if n_iterations == 50:
        np.testing.assert_allclose(q.sum(0), 24 / 6, rtol=0.02)


def test_sinkhorn_spreads_what_everybody_prefers():
    scores = jnp.array([[1.0, 0.9], [1.0, 0.2]])
    np.testing.assert_array_equal(sinkhorn(scores, epsilon=0.01, n_iterations=100).argmax(1), [1, 0])


def test_sharpening_by_hand():
    p = jnp.array([[0.65, 0.35], [0.8, 0.2], [1.0, 0.0], [0.0, 0.0]])
    expected = [[0.775229, 0.224771], [0.941176, 0.058824], [1.0, 0.0], [0.5, 0.5]]
    np.testing.assert_allclose(sharpen(p), expected, atol=1e-6)
    np.testing.assert_allclose(sharpen(3 * p), expected, atol=1e-6)  # of any sum
    np.testing.assert_allclose(sharpen(p[:2], temperature=1.0), p[:2], rtol=1e-6)


def test_smoothed_cross_entropy_by_hand():
    logits = jnp.log(jnp.array([[0.9, 0.1]]))
    np.testing.assert_allclose(smoothed_cross_entropy(logits, jnp.array([0]), smoothing=0.5), 1.203973, rtol=1e-6)
    logits, labels = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 3, 2, 1, 1, 0])
    weights = np.full((6, 4), 0.1)
    weights[np.arange(6), labels] = 0.7
    expected = -np.sum(weights * scipy.special.log_softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(smoothed_cross_entropy(logits, labels, smoothing=0.3), expected, rtol=1e-5)
