import io
import struct

import numpy as np
import pytest
from scipy.io import wavfile

from jaxdc.data.sound import reading
from jaxdc.errors import InputError

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
BY = ["scipy", pytest.param("soundfile", marks=pytest.mark.skipif(not reading._has_soundfile(), reason="absent"))]


@pytest.fixture(params=BY)
def by(request, monkeypatch):
    monkeypatch.setattr(reading, "_has_soundfile", lambda: request.param == "soundfile")
    return request.param


def wav(samples, rate=RATE) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


@pytest.mark.parametrize(
    ("samples", "tolerance"),
    [
        ((TONE * 127 + 128).round().astype(np.uint8), 1 / 127),
        ((TONE * 32767).round().astype(np.int16), 1 / 32767),
        ((TONE * (2**31 - 1)).round().astype(np.int32), 1e-7),
        (TONE.astype(np.float32), 1e-7),
        (TONE, 1e-7),
    ],
)
def test_every_kind_of_sample_has_one_scale(by, samples, tolerance):
    recording = reading.decoded(wav(samples))
    assert recording.rate == RATE and recording.samples.dtype == np.float32
    np.testing.assert_allclose(recording.samples, TONE, atol=tolerance)


def test_24_bits(by):
    values = (TONE * (2**23 - 1)).round().astype(np.int32)
    body = b"".join(struct.pack("<i", v)[:3] for v in values.tolist())
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 3, 3, 24)
    data = head + b"data" + struct.pack("<I", len(body)) + body
    content = b"RIFF" + struct.pack("<I", len(data)) + data
    np.testing.assert_allclose(reading.decoded(content).samples, TONE, atol=1e-6)


def test_channels_are_mixed_down(by):
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1).astype(np.float32)
    np.testing.assert_allclose(reading.decoded(wav(stereo)).samples, TONE / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"RIFF", "damaged"),
        (b"these are no samples, whatever the name of the file says", "damaged"),
        (wav(np.zeros(8, np.int16))[:30], "damaged"),
        (wav(np.zeros(0, np.int16)), "no samples"),
        (wav(np.array([0, np.nan, 0], np.float32)), "sample 1 is nan"),
        (wav(np.array([0, 0, np.inf], np.float32)), "sample 2 is inf"),
    ],
)
def test_what_is_no_recording_is_a_value_error(by, content, told):
    with pytest.raises(ValueError, match=told):
        reading.decoded(content)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3"])
def test_other_formats(tmp_path, kind):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"tone.{kind}"
    soundfile.write(path, TONE, RATE)
    reading.check_readable([path])
    recording = reading.read(path)
    assert recording.rate == RATE
    n = min(len(TONE), len(recording.samples))
    assert n > 0.95 * RATE
    spectrum = np.abs(np.fft.rfft(recording.samples[:n]))
    assert np.argmax(spectrum) == pytest.approx(440 * n / RATE, abs=1)
    if kind == "flac":
        np.testing.assert_allclose(recording.samples, TONE, atol=2 / 32767)


def test_other_formats_need_a_package(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_has_soundfile", lambda: False)
    reading.check_readable([tmp_path / "a.WAV"])
    with pytest.raises(InputError, match=r"b\.flac needs .*jaxdc\[sound\]"):
        reading.check_readable([tmp_path / "a.wav", tmp_path / "b.flac"])


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_resampling_keeps_what_both_rates_hold(rate):
    t = np.arange(rate) / rate
    high = 0.3 * np.sin(2 * np.pi * 7000 * t) if rate > 16000 else 0.0
    x = (0.5 * np.sin(2 * np.pi * 440 * t) + high).astype(np.float32)
    found = reading.resampled(reading.Recording(x, rate), RATE)
    assert found.shape == (RATE,)
    inside = slice(200, -200)  # the filter has no samples beyond the ends
    np.testing.assert_allclose(found[inside], TONE[inside], atol=0.01)


def test_a_clip_is_read_back():
    rate, x = wavfile.read(io.BytesIO(reading.wav_bytes(np.array([0, 0.5, -1, 2], np.float32), 16000)))
    assert rate == 16000 and x.dtype == np.int16
    np.testing.assert_allclose(x / 32767, [0, 0.5, -1, 1], atol=1e-4)
