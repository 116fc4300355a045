import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from sklearn.metrics import log_loss

from jaxdc.losses import confident_cross_entropy, neighbor_consistency, temi, update_marginal


def logits(seed, scale=1.0, n=40, k=4):
    return (scale * np.random.default_rng(seed).normal(size=(n, k))).astype(np.float32)


def test_neighbors_by_hand():
    a = np.log([[0.5, 0.5], [0.9, 0.1], [1.0, 1e-8]])
    n = np.log([[0.2, 0.8], [0.9, 0.1], [1e-8, 1.0]])
    expected = -np.log([0.5, 0.82, 2e-8])
    np.testing.assert_allclose(neighbor_consistency(a, n), expected, rtol=1e-5)


def test_neighbors_that_disagree_completely_still_have_a_gradient():
    a, n = jnp.array([[1e4, -1e4]]), jnp.array([[-1e4, 1e4]])
    value, gradient = jax.value_and_grad(lambda a: neighbor_consistency(a, n)[0])(a)
    np.testing.assert_allclose(value, 2e4 - np.log(2), rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_neighbors_may_change_places():
    np.testing.assert_allclose(
        neighbor_consistency(logits(0), logits(1)), neighbor_consistency(logits(1), logits(0))
    )


def confident(weak, threshold):
    probs = scipy.special.softmax(weak.astype(np.float64), axis=1)
    return probs.max(1) > threshold, probs.argmax(1)


def test_confident_samples_teach_with_balanced_weights():
    weak, strong = logits(0, 3.0), logits(1)
    mask, labels = confident(weak, 0.8)
    counts = np.bincount(labels[mask], minlength=4)
    assert 0 < mask.sum() < len(mask) and len(set(counts)) > 1
    probs = scipy.special.softmax(strong.astype(np.float64), axis=1)[mask]
    weights = (mask.sum() / counts)[labels[mask]]
    oracle = log_loss(labels[mask], probs, sample_weight=weights, labels=range(4))
    loss, share = confident_cross_entropy(weak, strong, threshold=0.8)
    np.testing.assert_allclose(loss, oracle, rtol=1e-5)
    np.testing.assert_allclose(share, mask.mean(), rtol=1e-6)
    unweighted, _ = confident_cross_entropy(weak, strong, threshold=0.8, class_balanced=False)
    np.testing.assert_allclose(unweighted, log_loss(labels[mask], probs, labels=range(4)), rtol=1e-5)
    assert abs(unweighted - loss) > 1e-3


def test_nobody_is_confident():
    value, gradient = jax.value_and_grad(lambda s: confident_cross_entropy(logits(0, 0.1), s)[0])(logits(1))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)
    assert confident_cross_entropy(logits(0, 0.1), logits(1))[1] == 0.0


def test_the_plain_view_gives_labels_and_learns_nothing():
    gradient = jax.grad(lambda w: confident_cross_entropy(w, logits(1), threshold=0.5)[0])(logits(0, 3.0))
    np.testing.assert_array_equal(gradient, 0.0)


def test_temi_by_its_formula():
    s, sn, t, tn = (scipy.special.softmax(logits(seed, 2.0).astype(np.float64), axis=1) for seed in range(4))
    marginal, beta = np.array([0.1, 0.2, 0.3, 0.4]), 0.6
    pmi = [np.log(((s * tn) ** beta / marginal).sum(axis=1)), np.log(((sn * t) ** beta / marginal).sum(axis=1))]
    expected = -(t * tn).sum(axis=1) * np.mean(pmi, axis=0)
    given = [logits(seed, 2.0) for seed in range(4)]
    np.testing.assert_allclose(temi(*given, marginal), expected, rtol=1e-5, atol=1e-6)
    weights = np.linspace(0, 1, 40)
    weighted = temi(*given, marginal, weights=weights)
    np.testing.assert_allclose(weighted, -weights * np.mean(pmi, axis=0), rtol=1e-5, atol=1e-6)


def test_nothing_flows_back_to_the_teacher_of_temi():
    given = [logits(seed) for seed in range(4)]
    marginal, weights = np.full(4, 0.25, np.float32), np.ones(40, np.float32)

    def loss(s, sn, t, tn, marginal, weights):
        return temi(s, sn, t, tn, marginal, weights=weights).mean()

    gradients = jax.grad(loss, argnums=range(6))(*given, marginal, weights)
    assert [bool(np.any(g)) for g in gradients] == [True, True, False, False, False, False]


def test_a_cluster_that_nobody_takes_leaves_temi_finite():
    value, gradient = jax.value_and_grad(lambda s: temi(s, s, s, s, jnp.array([0.0, 0.5, 0.5, 0.0])).mean())(
        logits(0)
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_marginal_follows_the_mean():
    probs = scipy.special.softmax(logits(0), axis=1)
    marginal = np.full(4, 0.25, np.float32)
    expected = 0.7 * marginal + 0.3 * probs.mean(axis=0)
    np.testing.assert_allclose(update_marginal(marginal, probs, momentum=0.7), expected, rtol=1e-5)
    assert not np.any(jax.grad(lambda p: update_marginal(marginal, p)[0])(probs))
