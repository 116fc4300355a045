"""Predicting another view: by hand, and what has no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from losses.members import assignments, vectors

from jaxdc.losses import sinkhorn, swapped_prediction, view_prediction


def test_views_by_hand():
    predictions = jnp.array([[3.0, 4.0], [0.0, 2.0], [0.5, 0.0]])
    np.testing.assert_allclose(
        view_prediction(predictions, jnp.array([[1.0, 0.0]] * 3)), [0.8, 2.0, 0.0], atol=1e-6
    )


def test_targets_have_no_gradient():
    p, z = vectors(0), vectors(1)
    own, of_targets = jax.grad(lambda p, z: jnp.sum(view_prediction(p, z)), argnums=(0, 1))(p, z)
    assert np.abs(own).max() > 1e-3
    np.testing.assert_array_equal(of_targets, 0.0)
    with pytest.raises(ValueError, match="predictions .* and targets .* must have the same shape"):
        view_prediction(p, z[:, :2])


def test_crops_by_hand():
    # Both crops lie on their prototypes: log(1 + exp(-10)), once the codes are sure.
    scores = jnp.stack([jnp.eye(2)] * 2)
    codes = jax.vmap(sinkhorn)(scores)
    np.testing.assert_allclose(swapped_prediction(scores, codes), 4.54e-5, rtol=1e-3)
    # Collapsed to one of two prototypes, balance makes every code even: half of 1 / t, and log(1 + exp(-10)).
    collapsed = jnp.tile(jnp.array([1.0, 0.0]), (2, 2, 1))
    codes = jax.vmap(sinkhorn)(collapsed)
    np.testing.assert_allclose(codes, 0.5, rtol=1e-5)
    np.testing.assert_allclose(swapped_prediction(collapsed, codes), 5.0000454, rtol=1e-6)


def test_every_crop_predicts_the_codes_of_the_others():
    scores = np.stack([vectors(i, d=5) for i in range(4)])
    codes = np.stack([assignments(i) for i in range(2)])
    log_p = np.log(np.exp(scores / 0.4) / np.exp(scores / 0.4).sum(axis=2, keepdims=True))
    each = [-(codes[i] * log_p[j]).sum(axis=1) for i in range(2) for j in range(4) if i != j]
    value = swapped_prediction(scores, codes, temperature=0.4)
    np.testing.assert_allclose(value, np.mean(each, axis=0), rtol=1e-4)
    gradient = jax.grad(lambda codes: jnp.sum(swapped_prediction(scores, codes)))(jnp.asarray(codes))
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    ("scores", "codes", "message"),
    [
        (np.ones((1, 3, 2)), np.ones((1, 3, 2)), "at least 2 crops"),
        (np.ones((3, 2)), np.ones((1, 3, 2)), "at least 2 crops"),
        (np.ones((2, 3, 2)), np.ones((1, 3, 4)), r"codes must be \[c, 3, 2\]"),
        (np.ones((2, 3, 2)), np.ones((3, 3, 2)), "at most the 2 crops"),
    ],
)
def test_crops_that_do_not_match(scores, codes, message):
    with pytest.raises(ValueError, match=message):
        swapped_prediction(scores, codes)
