import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jaxdc.augment import random_rotate_shift, rotate_shift

IMAGES = np.random.default_rng(0).random((3, 9, 12, 2)).astype(np.float32)


def test_against_scipy():
    radians, shift = np.array([0.3, -0.2, 0.0]), np.array([[1.5, -2.0], [0.0, 0.7], [-1.0, 3.0]])
    ours = rotate_shift(IMAGES, jnp.asarray(radians), jnp.asarray(shift))
    for i, image in enumerate(IMAGES):
        cos, sin = np.cos(radians[i]), np.sin(radians[i])
        matrix = np.array([[cos, sin], [-sin, cos]])
        centre = (np.array(image.shape[:2]) - 1) / 2
        offset = centre - matrix @ (centre + shift[i])
        for c in range(2):
            oracle = ndimage.affine_transform(image[..., c], matrix, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(ours[i, ..., c], oracle, atol=1e-4)


def test_nothing_drawn_changes_nothing_and_whole_pixels_move_exactly():
    zero = jnp.zeros(3)
    np.testing.assert_array_equal(rotate_shift(IMAGES, zero, jnp.zeros((3, 2))), IMAGES)
    moved = rotate_shift(IMAGES, zero, jnp.tile(jnp.array([2.0, -1.0]), (3, 1)))
    np.testing.assert_allclose(moved[:, 2:, :-1], IMAGES[:, :-2, 1:], atol=1e-6)
    np.testing.assert_array_equal(moved[:, :2], 0.0)
    np.testing.assert_array_equal(moved[:, :, -1], 0.0)


def test_each_image_has_a_draw_of_its_own_and_the_key_decides():
    same = jnp.tile(jnp.asarray(IMAGES[:1]), (4, 1, 1, 1))
    views = random_rotate_shift(jax.random.key(0), same)
    assert len({view.tobytes() for view in np.asarray(views)}) == 4
    np.testing.assert_array_equal(views, random_rotate_shift(jax.random.key(0), same))
    assert np.abs(views - random_rotate_shift(jax.random.key(1), same)).max() > 0.01


def test_limits_are_kept():
    ramp = jnp.broadcast_to(jnp.arange(21.0)[None, :, None, None], (200, 21, 21, 1))
    views = random_rotate_shift(jax.random.key(0), ramp, degrees=0.0, shift=0.1)
    moves = np.asarray(ramp - views)[:, 10, 10, 0]
    assert 1.8 < np.abs(moves).max() <= 2.1 + 1e-4
