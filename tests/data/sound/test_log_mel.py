import jax
import numpy as np
import pytest
from scipy.signal import spectrogram

from jaxdc.data.sound import LogMel, mel_filters
from jaxdc.data.sound.log_mel import decibels, middle, stretching
from jaxdc.errors import InputError

NOISE = np.random.default_rng(0).normal(scale=0.1, size=4000).astype(np.float32)
# librosa 0.11: filters.mel(sr=8000, n_fft=256, n_mels=24, fmin=20, htk=True, norm=None)[3], from bin 7 on.
LIBROSA = [0.2413644, 0.6860369, 0.87874043, 0.46621606, 0.05369167]


def tone(hertz, seconds=0.5, rate=8000):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def test_filters_against_librosa():
    band = mel_filters(8000, 24)[3]
    assert np.flatnonzero(band).tolist() == [7, 8, 9, 10, 11]
    np.testing.assert_allclose(band[7:12], LIBROSA, atol=1e-6)


@pytest.mark.parametrize(("rate", "n_mels"), [(8000, 40), (8000, 128), (16000, 80), (44100, 200), (1000, 40)])
def test_no_band_is_without_a_bin(rate, n_mels):
    filters = mel_filters(rate, n_mels)
    assert filters.shape[0] == n_mels and (filters.sum(axis=1) > 0).all()
    inside = filters[:, 1:-1].sum(axis=0)
    assert inside.max() <= 1 + 1e-9  # neighbours share a bin between them


def test_powers_against_scipy():
    _, _, power = spectrogram(
        NOISE, 8000, window="hann", nperseg=200, noverlap=120, nfft=256, detrend=False, mode="complex"
    )
    power = np.abs(power) ** 2
    # SciPy scales to a density: by the rate and the sum of the squares of the window.
    window = np.hanning(201)[:-1]
    power *= 8000 * (window**2).sum() / window.sum() ** 2
    expected = 10 * np.log10(mel_filters(8000, 40) @ power + 1e-10)
    np.testing.assert_allclose(decibels(NOISE, 8000, 40), expected, atol=1e-3)


def test_decibels_are_below_full_scale():
    # A sine at full scale has a quarter of the power of a constant in its bin, and its band a peak of almost 1.
    x = decibels(tone(1000), 8000, 40)
    assert x.max() == pytest.approx(10 * np.log10(0.25), abs=2)
    np.testing.assert_allclose(decibels(np.zeros(4000), 8000, 40), -100)


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 32), (32, 32), (40, 32), (200, 32), (1, 32)])
def test_stretching_against_jax(n_in, n_out):
    x = np.random.default_rng(1).normal(size=(3, n_in)).astype(np.float32)
    expected = jax.image.resize(x, (3, n_out), "linear", antialias=True)
    np.testing.assert_allclose(x @ stretching(n_in, n_out), expected, atol=1e-5)


def test_high_is_up():
    low, high = (LogMel(normalized=False)(tone(hertz), 8000)[..., 0].mean(axis=1) for hertz in (200, 3000))
    assert np.argmax(low) > 30 and np.argmax(high) < 10


def test_normalized_bands_know_no_loudness_and_no_microphone():
    x = LogMel()(NOISE, 8000)[..., 0]
    assert x.shape == (40, 32) and x.dtype == np.float32
    np.testing.assert_allclose(x.mean(axis=1), 0.5, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=1), 1 / 8, rtol=0.02)
    np.testing.assert_allclose(LogMel()(NOISE / 8, 8000)[..., 0], x, atol=2e-3)
    raw = LogMel(normalized=False)
    assert (raw(NOISE / 8, 8000) < raw(NOISE, 8000)).all()


def test_silence_is_even():
    np.testing.assert_allclose(LogMel()(np.zeros(4000), 8000), 0.5)
    np.testing.assert_array_equal(LogMel(normalized=False)(np.zeros(4000), 8000), 0)


def test_the_middle_keeps_its_speed_and_silence_surrounds_what_is_short():
    log_mel = LogMel(fit="middle", n_frames=16, normalized=False)
    whole = np.concatenate([np.zeros(8000), NOISE, np.zeros(8000)])
    np.testing.assert_allclose(log_mel(whole, 8000), log_mel(NOISE, 8000), atol=1e-6)
    short = log_mel(NOISE[:840], 8000)[..., 0]  # 9 windows
    assert (short[:, :3] == 0).all() and (short[:, 12:] == 0).all() and (short[:, 3:12] > 0).any(axis=0).all()
    np.testing.assert_array_equal(middle(np.arange(9), 3), [3, 4, 5])


@pytest.mark.parametrize("n", [1, 100, 199, 200])
def test_less_than_a_window_is_followed_by_silence(n):
    x = LogMel()(NOISE[:n], 8000)
    assert x.shape == (40, 32, 1) and np.isfinite(x).all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"rate": 10}, "1,000 Hz"), ({"n_mels": 1}, "n_mels"), ({"n_frames": 0}, "n_frames"), ({"fit": "x"}, "'x'")],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(InputError, match=told):
        LogMel(**settings)
