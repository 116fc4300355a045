import dataclasses

import jax
import numpy as np
import pytest

from jaxdc.augment import Original, Spectrogram, masked, moved, two_views
from jaxdc.distributed import sharding

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).random((64, 40, 32, 1)).astype(np.float32)
STILL = {
    "time_stretch": (1.0, 1.0),
    "time_shift": 0.0,
    "frequency_stretch": (1.0, 1.0),
    "frequency_shift": 0.0,
    "noise": 0.0,
}
view = jax.jit(lambda preset, images: preset(KEY, images), static_argnums=0)


def test_masks_by_hand():
    start, width = np.arange(64) % 30, np.arange(64) % 5
    for axis in (1, 2):
        found = np.asarray(masked(IMAGES, start, width, axis=axis, fill=0.25))
        expected = IMAGES.copy()
        for i in range(64):
            part = slice(start[i], start[i] + width[i])
            expected[(i, part) if axis == 1 else (i, slice(None), part)] = 0.25
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="axis"):
        masked(IMAGES, start, width, axis=3)


def test_moves_against_numpy():
    rng = np.random.default_rng(1)
    shift, factor = rng.uniform(-4, 4, (64, 2)), rng.uniform(0.7, 1.4, (64, 2))
    found = np.asarray(moved(IMAGES, shift, factor))
    for i in range(8):
        expected = IMAGES[i, ..., 0]
        for axis, n in enumerate(expected.shape):
            # The content at middle + d comes to middle + factor * d + shift; np.interp holds values at the edges.
            places = (np.arange(n) + 0.5 - n / 2 - shift[i, axis]) / factor[i, axis] + n / 2 - 0.5
            expected = np.apply_along_axis(lambda x, p=places: np.interp(p, np.arange(len(x)), x), axis, expected)
        np.testing.assert_allclose(found[i, ..., 0], expected, atol=1e-4)


def test_masks_alone_are_bands_and_frames():
    ones = np.ones_like(IMAGES)
    found = np.asarray(view(Spectrogram(**STILL, fill=0.0), ones))[..., 0]
    frames, bands = (found == 0).all(axis=1), (found == 0).all(axis=2)
    np.testing.assert_array_equal(found == 0, frames[:, None, :] | bands[:, :, None])
    assert 0 < frames.sum(axis=1).max() <= 2 * 4 and 0 < bands.sum(axis=1).max() <= 2 * 5
    assert len({tuple(row) for row in frames.tolist()}) > 30  # a draw of its own for each sample
    assert bands.any(axis=0).all() and frames.any(axis=0).all()  # the edges too


def test_nothing_drawn_is_nothing_changed():
    still = Spectrogram(**STILL, time_masks=0, frequency_masks=0)
    np.testing.assert_allclose(view(still, IMAGES), IMAGES, atol=1e-6)


def test_time_never_runs_backwards():
    ramp = np.broadcast_to(np.linspace(0, 1, 32, dtype=np.float32)[None, None, :, None], IMAGES.shape)
    quiet = Spectrogram(time_masks=0, frequency_masks=0, noise=0.0)
    found = np.asarray(view(quiet, ramp))
    assert (np.diff(found, axis=2) >= -1e-5).all()
    assert (found[:, :, -1] > found[:, :, 0] + 0.5).all()
    assert np.ptp(found[:, 20, 16, 0]) > 0.1  # and does not keep its place


def test_noise_has_its_size():
    grey = np.full((64, 40, 32, 1), 0.5, np.float32)
    noisy = Spectrogram(**{**STILL, "noise": 0.1}, time_masks=0, frequency_masks=0)
    deviation = np.asarray(view(noisy, grey)).std(axis=(1, 2, 3))
    assert deviation.min() < 0.02 and 0.08 < deviation.max() < 0.105
    assert deviation.mean() == pytest.approx(0.05, abs=0.015)


def test_a_view_is_a_float_of_the_same_size_from_0_to_1():
    one, two = two_views(KEY, IMAGES, Spectrogram())
    assert one.shape == two.shape == IMAGES.shape
    assert float(one.min()) >= 0 and float(one.max()) <= 1
    assert float(np.abs(one - two).mean()) > 0.05
    assert view(Spectrogram(), IMAGES.astype(np.float16)).dtype == np.float16


def test_the_plain_view_is_the_spectrogram():
    preset = Spectrogram(mean=(0.5,), std=(0.125,))
    assert preset.plain == Original(mean=(0.5,), std=(0.125,))
    np.testing.assert_allclose(preset.plain(None, IMAGES), (IMAGES - 0.5) / 0.125, rtol=1e-5)
    still = dataclasses.replace(preset, **STILL, time_masks=0, frequency_masks=0)
    np.testing.assert_allclose(view(still, IMAGES), (IMAGES - 0.5) / 0.125, atol=1e-5)


@pytest.mark.full
def test_sharded_batches_have_the_same_views():
    mesh = sharding.make_mesh()
    split, key = jax.device_put(IMAGES, sharding.by_sample(mesh)), sharding.replicate(KEY, mesh)
    ours = jax.jit(Spectrogram())(key, split)
    assert ours.sharding.is_equivalent_to(split.sharding, 4)
    np.testing.assert_allclose(ours, view(Spectrogram(), IMAGES), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 32}, "keeps its size"),
        ({"time_width": 1.5}, "time_width"),
        ({"frequency_stretch": (0.0, 1.0)}, "frequency_stretch"),
        ({"noise": -1.0}, "noise"),
        ({"std": (0.0,)}, "std"),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(ValueError, match=told):
        Spectrogram(**settings)
