"""Colour, tone and filters against Pillow, the standard library, SciPy and tf.image."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from jaxdc import augment

RNG = np.random.default_rng(0)
# Not uniform, so that equalizing and stretching change something.
BYTES = (40 + 180 * RNG.random((3, 24, 20, 3)) ** 2).astype(np.uint8)
IMAGES = BYTES.astype(np.float32) / 255
GREY = IMAGES[..., :1]
FACTOR = np.array([0.3, 1.0, 1.7], np.float32)


def pillow(function):
    return np.stack([np.asarray(function(Image.fromarray(x), i)) for i, x in enumerate(BYTES)]) / 255.0


@pytest.mark.parametrize(
    ("operation", "values", "oracle", "levels"),
    [
        ("brightness", FACTOR, lambda x, i: ImageEnhance.Brightness(x).enhance(float(FACTOR[i])), 1),
        ("contrast", FACTOR, lambda x, i: ImageEnhance.Contrast(x).enhance(float(FACTOR[i])), 2),
        ("saturation", FACTOR, lambda x, i: ImageEnhance.Color(x).enhance(float(FACTOR[i])), 2),
        ("sharpness", FACTOR, lambda x, i: ImageEnhance.Sharpness(x).enhance(float(FACTOR[i])), 2),
        ("greyscale", None, lambda x, i: x.convert("L").convert("RGB"), 1),
        ("solarize", [0.2, 0.5, 0.9], lambda x, i: ImageOps.solarize(x, [51, 128, 230][i]), 0),
        ("posterize", [1, 4, 8], lambda x, i: ImageOps.posterize(x, [1, 4, 8][i]), 0),
        ("invert", None, lambda x, i: ImageOps.invert(x), 0),
        ("autocontrast", None, lambda x, i: ImageOps.autocontrast(x), 1),
        ("equalize", None, lambda x, i: ImageOps.equalize(x), 0),
    ],
)
def test_against_pillow(operation, values, oracle, levels):
    values = () if values is None else (np.array(values),)
    ours = getattr(augment, operation)(IMAGES, *values)
    assert np.abs(ours - pillow(oracle)).max() <= levels / 255 + 1e-6
    if operation != "greyscale":
        assert np.abs(ours - IMAGES).max() > 0.1


def test_hue_against_the_standard_library():
    turn = np.array([0.1, -0.4, 0.5], np.float32)
    ours = augment.hue(IMAGES, turn)
    for i, image in enumerate(IMAGES.astype(float)):
        for pixel, new in zip(image[:3].reshape(-1, 3), np.asarray(ours[i, :3]).reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            np.testing.assert_allclose(new, colorsys.hsv_to_rgb((h + turn[i]) % 1, s, v), atol=1e-5)
    np.testing.assert_allclose(augment.hue(IMAGES, np.zeros(3)), IMAGES, atol=1e-5)


@pytest.mark.full
def test_against_tensorflow():
    tf = pytest.importorskip("tensorflow")
    np.testing.assert_allclose(augment.hue(IMAGES, 0.3), tf.image.adjust_hue(IMAGES, 0.3), atol=1e-5)
    grey = tf.image.adjust_contrast(GREY, 0.5)
    np.testing.assert_allclose(augment.contrast(GREY, 0.5), grey, atol=1e-5)


def test_blur_against_scipy():
    sigma = np.array([0.5, 1.0, 2.0], np.float32)
    ours = augment.gaussian_blur(IMAGES, sigma, 3)
    for i, image in enumerate(IMAGES):
        oracle = ndimage.gaussian_filter(image, (sigma[i], sigma[i], 0), mode="mirror", radius=(3, 3, 0))
        np.testing.assert_allclose(ours[i], oracle, atol=1e-5)


@pytest.mark.parametrize("images", [IMAGES, GREY, IMAGES - 0.5])
def test_edges_against_scipy(images):
    ours = augment.sobel(images)
    assert ours.shape == (3, 24, 20, 2)
    for i, image in enumerate(images.mean(axis=-1)):
        for channel, axis in ((0, 1), (1, 0)):
            oracle = ndimage.sobel(image, axis=axis, mode="constant")
            np.testing.assert_allclose(ours[i, ..., channel], oracle, atol=1e-5)


@pytest.mark.full
def test_large_images_are_equalized_in_blocks():
    # Three blocks, the last of them two pixels short.
    images = (RNG.random((1, 91, 91, 1)) ** 2).astype(np.float32)
    oracle = ImageOps.equalize(Image.fromarray(np.round(images[0, ..., 0] * 255).astype(np.uint8)))
    np.testing.assert_allclose(augment.equalize(images)[0, ..., 0], np.asarray(oracle) / 255.0, atol=1e-6)


def test_flat_images_stay():
    flat = jnp.full((1, 24, 20, 3), 0.2)
    for operation in (augment.equalize, augment.autocontrast):
        np.testing.assert_allclose(operation(flat), flat, atol=1e-6)


def test_cutout():
    centre, side = np.array([[0, 0], [12, 10], [23, 19]]), np.array([4, 5, 0])
    ours = augment.cutout(IMAGES, centre, side, fill=0.5)
    expected = IMAGES.copy()
    expected[0, :2, :2] = 0.5
    expected[1, 10:15, 8:13] = 0.5
    np.testing.assert_array_equal(ours, expected)


def test_jitter_is_the_four_operations_in_each_images_order():
    factors = np.array([[1.3, 0.7, 1.4, 0.1], [0.6, 1.3, 0.5, -0.1], [1.2, 1.2, 0.1, 0.05]], np.float32)
    order = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
    ours = jax.jit(augment.color_jitter)(IMAGES, factors, order)
    operations = (augment.brightness, augment.contrast, augment.saturation, augment.hue)
    for i in range(3):
        image = IMAGES[i : i + 1]
        for which in np.argsort(order[i]):
            image = operations[which](image, factors[i : i + 1, which])
        np.testing.assert_allclose(ours[i : i + 1], image, atol=1e-5)


def test_one_channel_has_no_colour():
    for operation in (augment.saturation, augment.hue):
        np.testing.assert_allclose(operation(GREY, FACTOR), GREY, atol=1e-6)
    np.testing.assert_array_equal(augment.greyscale(GREY), GREY)
    three = np.repeat(GREY, 3, axis=3)
    for operation in (augment.brightness, augment.contrast):
        np.testing.assert_allclose(operation(GREY, FACTOR), operation(three, FACTOR)[..., :1], atol=1e-5)
    key = jax.random.key(0)
    grey = augment.random_color_jitter(key, GREY, hue=0.0)
    np.testing.assert_allclose(grey, augment.random_color_jitter(key, three, hue=0.0)[..., :1], atol=1e-5)


def test_half_precision_stays_half_precision():
    half = jnp.asarray(IMAGES, jnp.bfloat16)
    assert augment.contrast(half, FACTOR).dtype == jnp.bfloat16
    assert augment.random_equalize(jax.random.key(0), half).dtype == jnp.bfloat16


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"factor must have the shape \(3,\)"):
        augment.contrast(IMAGES, np.ones(2))
    with pytest.raises(ValueError, match="bits must be integers"):
        augment.posterize(IMAGES, np.full(3, 4.0))
    with pytest.raises(ValueError, match="images must have 1 or 3 channels, but have 2"):
        augment.hue(IMAGES[..., :2], 0.1)
    with pytest.raises(ValueError, match="hue must be a number from 0 to 0.5"):
        augment.random_color_jitter(jax.random.key(0), IMAGES, hue=0.7)
    with pytest.raises(ValueError, match="radius must be"):
        augment.gaussian_blur(IMAGES, 1.0, 20)
