import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jaxdc import augment
from jaxdc.augment import POOL, Digits, Original, Shifted, Strong, Weak, expand, pool_operation, two_views
from jaxdc.distributed import sharding

RNG = np.random.default_rng(0)
BYTES = (40 + 180 * RNG.random((14, 24, 24, 3)) ** 2).astype(np.uint8)
IMAGES = BYTES.astype(np.float32) / 255
KEY = jax.random.key(0)
STATISTICS = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}
PRESETS = {
    "original": Original(size=20, **STATISTICS),
    "weak": Weak(size=20, blur_probability=0.5, **STATISTICS),
    "strong": Strong(size=20, **STATISTICS),
    "shifted": Shifted(size=20, flip=True, **STATISTICS),
}
views = jax.jit(two_views, static_argnums=(2, 3))
view = jax.jit(lambda preset, images: preset(KEY, images), static_argnums=0)


def test_each_pool_operation_against_pillow():
    level = 0.25
    ours = np.asarray(jax.jit(pool_operation)(IMAGES, np.arange(14), level))

    def shift(image, a, b, c, d, e, f):
        return image.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f))

    oracles = {
        "identity": lambda x: x,
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "rotation": lambda x: x.rotate(-15),
        "solarize": lambda x: ImageOps.solarize(x, 64),
        "saturation": lambda x: ImageEnhance.Color(x).enhance(0.275),
        "contrast": lambda x: ImageEnhance.Contrast(x).enhance(0.275),
        "brightness": lambda x: ImageEnhance.Brightness(x).enhance(0.275),
        "sharpness": lambda x: ImageEnhance.Sharpness(x).enhance(0.275),
        "shear_horizontal": lambda x: shift(x, 1, -0.05, 0.05 * 12, 0, 1, 0),
        "translation_horizontal": lambda x: shift(x, 1, 0, 0.05 * 24, 0, 1, 0),
        "translation_vertical": lambda x: shift(x, 1, 0, 0, 0, 1, 0.05 * 24),
        "posterize": lambda x: ImageOps.posterize(x, 5),
        "shear_vertical": lambda x: shift(x, 1, 0, 0, -0.05, 1, 0.05 * 12),
    }
    assert tuple(oracles) == POOL
    for i, name in enumerate(POOL):
        wrong = np.abs(ours[i] - np.asarray(oracles[name](Image.fromarray(BYTES[i]))) / 255.0) > 2 / 255 + 1e-6
        assert wrong.mean() < 0.01, name


@pytest.mark.parametrize("name", PRESETS)
def test_views(name):
    preset = PRESETS[name]
    same = jnp.tile(IMAGES[:1], (16, 1, 1, 1))
    view1, view2 = views(KEY, same, preset, None)
    assert view1.shape == view2.shape == (16, 20, 20, 3)
    assert np.isfinite(view1).all()
    np.testing.assert_array_equal(view1, views(KEY, same, preset, None)[0])
    distinct = len({v.tobytes() for v in np.asarray(jnp.concatenate([view1, view2]))})
    assert distinct == (1 if name == "original" else 32)
    assert hash(preset) == hash(type(preset)(**vars(preset)))
    # Before normalisation all of it lies within [0, 1].
    low, high = (0 - np.array(STATISTICS["mean"])) / STATISTICS["std"], (1 - np.array(STATISTICS["mean"])) / 0.2
    assert (np.asarray(view1) >= low - 1e-4).all()
    assert (np.asarray(view1) <= high + 1e-4).all()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "weak" else pytest.mark.full) for name in PRESETS]
)
def test_a_split_batch_is_augmented_where_it_lies(name):
    mesh = sharding.make_mesh()
    batch = np.concatenate([IMAGES, IMAGES[:2]])
    split = jax.device_put(batch, sharding.by_sample(mesh))
    key = sharding.replicate(KEY, mesh)
    compiled = views.lower(key, split, PRESETS[name], None).compile()
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    assert not re.findall(rf"\b(?:{kinds})", compiled.as_text())
    for ours, alone in zip(compiled(key, split), views(KEY, batch, PRESETS[name], None), strict=True):
        assert ours.sharding.is_equivalent_to(split.sharding, 4)
        np.testing.assert_allclose(ours, alone, atol=1e-4)


@pytest.mark.full
def test_two_views_are_those_of_two_keys(one_device):
    alone = jax.jit(PRESETS["weak"])
    for view, key in zip(views(KEY, IMAGES, PRESETS["weak"], None), jax.random.split(KEY), strict=True):
        np.testing.assert_allclose(view, alone(key, IMAGES), atol=1e-4)
    first, second = views(KEY, IMAGES, PRESETS["weak"], PRESETS["original"])
    np.testing.assert_allclose(first, alone(jax.random.split(KEY)[0], IMAGES), atol=1e-4)
    np.testing.assert_allclose(second, PRESETS["original"](jax.random.split(KEY)[1], IMAGES), atol=1e-4)


def test_shares_of_flips_greys_and_changed_images():
    half = np.zeros((400, 4, 4, 3), np.float32)
    half[:, :, 2:, 0] = 1.0
    plain = Weak(crop=(1.0, 1.0), ratio=(1.0, 1.0), jitter_probability=0.0, greyscale_probability=0.0)
    flipped = np.asarray(view(plain, half))[:, 0, 0, 0] > 0.5
    assert 0.42 < flipped.mean() < 0.58
    grey = Weak(crop=(1.0, 1.0), ratio=(1.0, 1.0), flip=False, jitter_probability=0.0)
    greys = np.ptp(np.asarray(view(grey, half))[:, 0, 3], axis=-1) < 0.01
    assert 0.14 < greys.mean() < 0.26


def test_squares_are_cut_after_normalisation():
    strong = Strong(n_ops=0, flip=False, cutout=(6, 6), **STATISTICS)
    cut = np.asarray(view(strong, np.ones((200, 24, 24, 3), np.float32)))
    holes = (cut == 0).all(axis=-1).sum(axis=(1, 2))
    assert holes.max() == 36
    assert holes.min() >= 9
    assert (cut[holes > 0] != 0).any()


def test_the_plain_view_belongs_to_an_augmentation():
    for preset in (Weak(size=20, **STATISTICS), Strong(size=20, **STATISTICS)):
        expected = view(Original(size=20, **STATISTICS), IMAGES)
        np.testing.assert_array_equal(view(preset.plain, IMAGES), expected)
    middle = view(Digits(crops=(0.5, 0.75, 1.0)).plain, IMAGES)
    assert middle.shape == IMAGES.shape
    # 24 pixels: the plain view shows the 18 in the middle, as a resize of them does, except for the outermost
    # pixels, which look beyond the square.
    resized = view(Original(size=24), IMAGES[:, 3:21, 3:21])
    np.testing.assert_allclose(middle[:, 1:-1, 1:-1], resized[:, 1:-1, 1:-1], atol=1e-6)


def test_digits_turn_and_are_cut_as_asked():
    ramp = np.tile(np.linspace(0, 1, 28, dtype=np.float32)[None, None, :, None], (300, 28, 1, 1))
    still = Digits(rotation_probability=0.0, jitter=(0.0, 0.0), crops=(0.5,))
    span = np.ptp(np.asarray(view(still, ramp)), axis=2)[:, 0, 0]
    np.testing.assert_allclose(span, 13 / 27, atol=0.03)  # half of the ramp, wherever it is cut
    starts = np.asarray(view(still, ramp))[:, 0, 0, 0]
    assert starts.min() < 0.05
    assert starts.max() > 0.45
    turned = np.asarray(view(Digits(jitter=(0.0, 0.0), crops=(0.5,)), ramp))
    share = np.mean(np.ptp(turned, axis=1)[:, 7, 0] > 0.01)  # columns of an image that turned are not constant
    assert 0.4 < share < 0.6
    whole = Digits(crops=(1.0,), rotation_probability=0.0, jitter=(0.0, 0.0))
    np.testing.assert_allclose(view(whole, IMAGES), IMAGES, atol=1e-6)


@pytest.mark.full
def test_shifted_views_turn_move_and_zoom_by_what_was_asked():
    still = {"degrees": 0.0, "shift": 0.0, "zoom": (1.0, 1.0), "channel_shift": 0.0}
    still["flip"] = False
    np.testing.assert_allclose(view(Shifted(**still), IMAGES), IMAGES, atol=1e-6)
    mirrored = np.asarray(view(Shifted(**{**still, "flip": True}), IMAGES))
    colours = np.asarray(view(Shifted(**{**still, "flip": None}), IMAGES))  # which have three channels
    np.testing.assert_array_equal(colours, mirrored)
    grey = IMAGES[..., :1]
    np.testing.assert_allclose(view(Shifted(**{**still, "flip": None}), grey), grey, atol=1e-6)
    same = [np.allclose(a, b, atol=1e-5) for a, b in zip(mirrored, IMAGES, strict=True)]
    assert 0 < sum(same) < len(same)
    flipped = [np.allclose(a, b[:, ::-1], atol=1e-5) for a, b in zip(mirrored, IMAGES, strict=True)]
    assert [not s for s in same] == flipped
    dot = np.zeros((300, 25, 25, 1), np.float32)
    dot[:, 12, 18] = 1.0  # six pixels to the right of the centre

    def places(**settings):
        x = np.asarray(view(Shifted(**{**still, **settings}), dot))[..., 0]
        grid = np.stack(np.meshgrid(np.arange(25), np.arange(25), indexing="ij"), axis=-1) - 12
        return np.einsum("bij,ijc->bc", x / x.sum(axis=(1, 2), keepdims=True), grid)

    moved = places(shift=0.2) - [0, 6]
    assert 4 < np.abs(moved).max() < 5.1  # a fifth of 25
    turned = places(degrees=90.0)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 6, atol=0.7)
    assert np.ptp(turned[:, 0]) > 10
    np.testing.assert_allclose(places(zoom=(1.5, 1.5)), np.tile([[0, 9]], (300, 1)), atol=0.3)
    np.testing.assert_allclose(places(zoom=(0.5, 0.5)), np.tile([[0, 3]], (300, 1)), atol=0.3)
    grey = np.full((400, 2, 2, 3), 0.5, np.float32)
    added = np.asarray(view(Shifted(**{**still, "channel_shift": 0.1}), grey)) - 0.5
    assert 0.09 < np.abs(added).max() <= 0.1 + 1e-6
    assert np.ptp(added, axis=(1, 2)).max() < 1e-6  # one number for a channel
    assert np.ptp(added, axis=3).max() > 0.05


@pytest.mark.full
def test_greyscale_sets():
    for preset in (Weak(), Strong(), Digits(), Shifted()):
        assert view(preset, IMAGES[..., :1]).shape == (14, 24, 24, 1)


def test_expand_in_blocks():
    copies, index = expand(KEY, BYTES, Weak(jitter_probability=0.0), 2, block_size=4)
    assert copies.shape == (28, 24, 24, 3)
    assert copies.dtype == np.float32
    np.testing.assert_array_equal(index, [*range(14), *range(14)])
    assert np.abs(copies[:14] - copies[14:]).max() > 0.1
    np.testing.assert_array_equal(copies, expand(KEY, BYTES, Weak(jitter_probability=0.0), 2, block_size=4).images)
    plain = expand(KEY, BYTES, Original(), 1, block_size=4)
    np.testing.assert_allclose(plain.images, IMAGES, atol=1e-6)


@pytest.mark.parametrize(
    ("preset", "arguments", "message"),
    [
        (Weak, {"crop": (0.5, 0.2)}, "crop must be a pair"),
        (Weak, {"jitter": (0.4, 0.4, 0.4, 0.8)}, "jitter must be four non-negative numbers"),
        (Weak, {"blur_probability": 2.0}, "blur_probability must be a number"),
        (Strong, {"cutout": (5, 2)}, "cutout must be a pair"),
        (Shifted, {"zoom": (1.2, 0.8)}, "zoom must be a pair"),
        (Shifted, {"shift": -0.1}, "shift must be a number"),
        (Digits, {"crops": ()}, "crops must be one share"),
        (Digits, {"crops": (0.5, 1.5)}, "crops must be a pair"),
        (Digits, {"degrees": 400}, "degrees must be"),
        (Digits, {"jitter": (0.4,)}, "jitter must be two numbers"),
        (Original, {"centre": 0.0}, "centre must be"),
        (Strong, {"n_ops": -1}, "n_ops must be a number"),
        (Original, {"std": (0.0,)}, "std must be positive"),
        (Original, {"size": 0}, "size must be at least 1"),
    ],
)
def test_what_is_wrong_is_named(preset, arguments, message):
    with pytest.raises(ValueError, match=message):
        preset(**arguments)


def test_a_window_larger_than_the_images():
    with pytest.raises(ValueError, match="size 32 is larger than the images, 24 x 24"):
        Strong(size=32)(KEY, IMAGES)
    with pytest.raises(ValueError, match="mean must have one number"):
        Original(mean=(0.1, 0.2))(None, IMAGES)


def test_mix_up_is_mostly_of_the_image_itself():
    images = jnp.asarray(np.eye(12, 16, dtype=np.float32).reshape(12, 4, 4, 1))
    shares = []
    for seed in range(20):
        mixed, targets = augment.mix_up(jax.random.key(seed), images, jnp.eye(12), concentration=0.7)
        weights = np.asarray(mixed).reshape(12, 16)[:, :12]
        np.testing.assert_allclose(targets, weights, atol=1e-6)  # as the images are mixed
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-6)  # every image is mixed into one
        shares.append(float(np.diagonal(weights).min()))
    assert min(shares) >= 0.5
    assert np.ptp(shares) > 0.1  # drawn
    with pytest.raises(ValueError, match=r"targets must be a matrix \[12, k\]"):
        augment.mix_up(KEY, images, jnp.eye(11))
    with pytest.raises(ValueError, match="concentration"):
        augment.mix_up(KEY, images, jnp.eye(12), concentration=0.0)
