import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxdc import augment
from jaxdc.augment.geometry import random_box

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 12, 10, 3)).astype(np.float32)


def pillow(function, images):
    """Applies a function of Pillow float images, channel by channel."""
    return np.stack(
        [
            np.stack([np.asarray(function(Image.fromarray(x[..., c]), i)) for c in range(x.shape[-1])], axis=-1)
            for i, x in enumerate(images)
        ]
    )


@pytest.mark.parametrize("size", [(12, 10), (5, 16)])
def test_resized_crop_against_pillow(size):
    box = np.array([[0, 0, 12, 10], [2.3, 1.1, 4.2, 6.6], [6, 5, 6, 3]], np.float32)
    ours = augment.resized_crop(IMAGES, box, size)

    def oracle(image, i):
        top, left, height, width = map(float, box[i])
        box_ = (left, top, left + width, top + height)
        return image.resize(size[::-1], Image.Resampling.BILINEAR, box=box_)

    np.testing.assert_allclose(ours, pillow(oracle, IMAGES), atol=2e-5)


@pytest.mark.full
def test_resized_crop_against_tensorflow():
    tf = pytest.importorskip("tensorflow")
    whole = jnp.tile(jnp.array([[0.0, 0, 12, 10]]), (3, 1))
    oracle = tf.image.resize(IMAGES, (5, 16), antialias=True).numpy()
    np.testing.assert_allclose(augment.resized_crop(IMAGES, whole, (5, 16)), oracle, atol=2e-5)


def test_a_negative_width_mirrors():
    box = np.array([[2.3, 1.1, 4.2, 6.6]] * 3, np.float32)
    back = np.array([[2.3, 7.7, 4.2, -6.6]] * 3, np.float32)
    np.testing.assert_allclose(
        augment.resized_crop(IMAGES, back), augment.resized_crop(IMAGES, box)[:, :, ::-1], atol=1e-5
    )


def test_crop_is_exact_and_fills():
    corner = np.array([[1, 2], [-2, -1], [8, 6]])
    ours = augment.crop(IMAGES, corner, (6, 5), fill=0.25)
    padded = np.pad(IMAGES, ((0, 0), (6, 6), (6, 6), (0, 0)), constant_values=0.25)
    for i, (top, left) in enumerate(corner + 6):
        np.testing.assert_allclose(ours[i], padded[i, top : top + 6, left : left + 5], atol=1e-6)
    np.testing.assert_array_equal(augment.crop(IMAGES, np.array([[1, 2]] * 3), 6), IMAGES[:, 1:7, 2:8])


def test_flips():
    which = np.array([True, False, True])
    horizontal, vertical = augment.flip_horizontal(IMAGES, which), augment.flip_vertical(IMAGES, which)
    for i in range(3):
        np.testing.assert_array_equal(horizontal[i], IMAGES[i, :, ::-1] if which[i] else IMAGES[i])
        np.testing.assert_array_equal(vertical[i], IMAGES[i, ::-1] if which[i] else IMAGES[i])


def warped(matrix, fill=0.0):
    """SciPy's answer, for a matrix about the centre."""
    centre = (np.array(IMAGES.shape[1:3]) - 1) / 2
    out = np.empty_like(IMAGES)
    for i, m in enumerate(np.asarray(matrix, np.float64)):
        offset = centre + m[:, 2] - m[:, :2] @ centre
        for c in range(3):
            out[i, ..., c] = ndimage.affine_transform(
                IMAGES[i, ..., c], m[:, :2], offset, order=1, mode="grid-constant", cval=fill
            )
    return out


RADIANS = np.array([0.4, -1.3, 0.0], np.float32)
SHIFT = np.array([[1.5, -2.0], [0.0, 0.7], [-20.0, 3.0]], np.float32)
SHEAR = np.array([[0.3, 0.0], [0.0, -0.4], [0.1, 0.2]], np.float32)
FACTOR = np.array([0.7, 1.0, 1.6], np.float32)


@pytest.mark.parametrize(
    ("operation", "value", "matrix"),
    [
        ("rotation", RADIANS, [[[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0]] for a in RADIANS]),
        ("translation", SHIFT, [[[1, 0, -y], [0, 1, -x]] for y, x in SHIFT]),
        ("shear", SHEAR, [[[1, y, 0], [x, 1, 0]] for y, x in SHEAR]),
        ("scaling", FACTOR, [[[1 / f, 0, 0], [0, 1 / f, 0]] for f in FACTOR]),
    ],
)
def test_warps_against_scipy(operation, value, matrix):
    ours = getattr(augment, operation)(IMAGES, value, fill=0.3)
    np.testing.assert_allclose(ours, warped(matrix, 0.3), atol=2e-5)


def test_nearest_rotation_against_pillow():
    images = RNG.random((3, 15, 15, 1)).astype(np.float32)
    degrees = [25.0, -30.0, 7.0]
    ours = augment.rotation(images, np.deg2rad(degrees), interpolation="nearest")
    oracle = pillow(lambda image, i: image.rotate(degrees[i]), images)
    # A place half-way between two pixels may fall to either.
    assert np.mean(np.abs(ours - oracle) > 1e-6) < 0.01


def test_boxes_have_the_areas_and_ratios_that_were_asked_for():
    many = jnp.zeros((2000, 16, 16, 1))
    top, left, height, width = np.asarray(random_box(jax.random.key(0), many, scale=(0.2, 0.6), ratio=(0.5, 2))).T
    area, ratio = height * width / 256, width / height
    assert 0.2 - 1e-5 <= area.min() < 0.21 and 0.59 < area.max() <= 0.6 + 1e-5
    assert abs(area.mean() - 0.4) < 0.02
    assert 0.5 - 1e-5 <= ratio.min() < 0.52 and 1.95 < ratio.max() <= 2 + 1e-5
    assert abs(np.log(ratio).mean()) < 0.05
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 16 + 1e-4
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.1


def test_where_no_box_fits_the_largest_in_the_centre_is_taken():
    box = random_box(jax.random.key(0), jnp.zeros((4, 8, 16, 1)), scale=(0.99, 1.0), ratio=(0.9, 1.0))
    np.testing.assert_allclose(box, np.tile([0.0, 4.0, 8.0, 8.0], (4, 1)), atol=1e-5)


def test_random_windows_reach_every_place():
    ramp = jnp.tile(jnp.arange(1.0, 5.0)[None, :, None, None] / 8, (200, 1, 4, 1))
    corners = np.asarray(augment.random_crop(jax.random.key(0), ramp, size=3))[:, 0, 0, 0]
    assert set(np.round(corners * 8)) == {1, 2}
    padded = np.asarray(augment.random_crop(jax.random.key(0), ramp, padding=1, fill=1.0))
    assert set(np.round(padded[:, 0, 2, 0] * 8)) == {8, 1, 2}


def test_what_is_wrong_is_named():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"images must be a batch \[b, h, w, c\]"):
        augment.flip_horizontal(IMAGES[0], True)
    with pytest.raises(ValueError, match="images must be floats"):
        augment.random_rotation(key, (IMAGES * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="size 13 is larger than the images, 12 x 10"):
        augment.random_crop(key, IMAGES, size=13)
    with pytest.raises(ValueError, match=r"box must have the shape \(3, 4\)"):
        augment.resized_crop(IMAGES, np.zeros((2, 4)))
    with pytest.raises(ValueError, match="scale must be a pair"):
        augment.random_resized_crop(key, IMAGES, scale=(0.5, 0.2))
    with pytest.raises(ValueError, match="probability must be a number from 0 to 1"):
        augment.random_flip_vertical(key, IMAGES, probability=1.5)
    with pytest.raises(ValueError, match="interpolation must be"):
        augment.rotation(IMAGES, RADIANS, interpolation="cubic")  # type: ignore
