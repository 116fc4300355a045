import io

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from jaxdc.data import open_source
from jaxdc.data.sound import LogMel, load_sounds
from jaxdc.errors import InputError


def save(path, seconds=0.3, rate=8000, hertz=440, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate) * np.linspace(
        0.2, 1, int(seconds * rate)
    )
    x = (x * 20000).astype(np.int16)
    wavfile.write(path, rate, x if channels == 1 else np.stack([x] * channels, axis=1))


def test_classes_from_subfolders(tmp_path):
    for name in ("one/a.wav", "one/b.WAV", "two/c.wav"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("recorded on Monday")
    said = []
    source = open_source(str(tmp_path), say=said.append)
    assert source.labels.tolist() == ["one", "one", "two"]
    assert source.shape == (40, 32, 1) and source.dtype == np.float32
    assert 0 <= source.array.min() < source.array.max() <= 1
    assert len(said) == 1 and "3 recordings of 0.30 to 0.30 s" in said[0] and "normalized" in said[0]
    assert source.opened["sound"] == {
        "rate": 8000, "n_mels": 40, "n_frames": 32, "fit": "stretch", "normalized": True
    }  # fmt: skip


def test_rates_and_channels_make_no_difference(tmp_path):
    for i, (rate, channels) in enumerate([(8000, 1), (8000, 2), (16000, 1), (44100, 2)]):
        save(tmp_path / f"{i}.wav", rate=rate, channels=channels)
    source = load_sounds(tmp_path, LogMel(normalized=False))
    assert source.log_mel.rate == 8000
    loud = source.array > 0.6
    assert loud[0].any()
    for other in source.array[1:]:
        np.testing.assert_allclose(other[loud[0]], source.array[0][loud[0]], atol=0.02)
    assert load_sounds(tmp_path, LogMel(rate=11025)).log_mel.rate == 11025
    high = tmp_path / "high"
    save(high / "a.wav", rate=44100)
    assert load_sounds(high).log_mel.rate == 16000


def test_recordings_of_any_length(tmp_path):
    for name, seconds in (("tiny", 0.003), ("short", 0.2), ("long", 70)):
        save(tmp_path / f"{name}.wav", seconds=seconds)
    stretched = load_sounds(tmp_path).understood
    assert "of 1 longer than 60 s only the middle is used" in stretched
    assert "1 shorter than a window of 25 ms" in stretched
    cut = load_sounds(tmp_path, LogMel(fit="middle"))
    assert "middle 0.32 s; 2 shorter ones are padded" in cut.understood
    scenes = tmp_path / "scenes"
    save(scenes / "a.wav", seconds=8)
    assert "one column for 0.25 s: more --sound-frames" in load_sounds(scenes).understood


def test_bad_files_are_named_or_skipped(tmp_path):
    save(tmp_path / "a.wav")
    save(tmp_path / "b.wav")
    good = open_source(str(tmp_path)).array
    (tmp_path / "0.wav").write_bytes(b"")
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:30])
    wavfile.write(tmp_path / "d.wav", 8000, np.array([0, np.nan], np.float32))
    for sound in (None, LogMel(rate=8000)):
        with pytest.raises(
            InputError, match=r"0\.wav can't be read \(the file is empty\), and 2 more; .*skip-bad"
        ):
            open_source(str(tmp_path), sound=sound)
        said = []
        source = open_source(str(tmp_path), sound=sound, skip_bad_sounds=True, say=said.append)
        np.testing.assert_array_equal(source.array, good)
        assert said[0].startswith("skipped 3 of 5 recordings")
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="none of the 3 recordings can be read"):
        open_source(str(tmp_path), skip_bad_sounds=True)


def test_silence_is_said(tmp_path):
    save(tmp_path / "a.wav")
    wavfile.write(tmp_path / "b.wav", 8000, np.zeros(2000, np.int16))
    said = []
    assert np.isfinite(open_source(str(tmp_path), say=said.append).array).all()
    assert "1 of 2 recordings are silent; the first is" in said[0] and "b.wav" in said[0]


def test_pictures_among_sounds_are_refused(tmp_path):
    save(tmp_path / "a.wav")
    Image.new("L", (8, 8)).save(tmp_path / "cover.png")
    with pytest.raises(InputError, match=r"both recordings, such as a\.wav, and images, such as cover\.png"):
        open_source(str(tmp_path))


def test_settings_of_sound_are_for_sounds(tmp_path):
    with pytest.raises(InputError, match="need a folder of recordings"):
        open_source("digits", sound=LogMel())
    save(tmp_path / "a.wav")
    with pytest.raises(InputError, match="needs texts"):
        open_source(str(tmp_path), text_column="text")


def test_a_run_knows_its_recordings_by_content_and_settings(tmp_path):
    save(tmp_path / "a.wav")
    save(tmp_path / "b.wav", hertz=600)
    before = load_sounds(tmp_path).fingerprint()
    assert load_sounds(tmp_path).fingerprint() == before
    assert load_sounds(tmp_path, LogMel(n_mels=24)).fingerprint() != before
    save(tmp_path / "b.wav", hertz=601)  # as long as before
    assert load_sounds(tmp_path).fingerprint() != before


def test_larger_sets_are_sent_in_batches(tmp_path):
    save(tmp_path / "a.wav")
    save(tmp_path / "b.wav", hertz=600)
    source = open_source(str(tmp_path), resident_bytes=100)
    whole = open_source(str(tmp_path)).array
    assert source.array is None
    np.testing.assert_array_equal(next(source.read(iter([np.array([1, 0])])))[0], whole[[1, 0]])


def test_clips_are_bounded(tmp_path):
    save(tmp_path / "a.wav", seconds=3, rate=44100, channels=2)
    clip = load_sounds(tmp_path).sounds.clip(0, seconds=1.5, rate=8000)
    rate, x = wavfile.read(io.BytesIO(clip))
    assert rate == 8000 and x.shape == (12000,)
    rate, x = wavfile.read(io.BytesIO(load_sounds(tmp_path).sounds.clip(0, seconds=10, rate=96000)))
    assert rate == 44100 and len(x) == 3 * 44100
