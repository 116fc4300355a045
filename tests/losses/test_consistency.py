import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from sklearn.metrics import log_loss

from jaxdc.losses import confident_cross_entropy, neighbor_consistency


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
