"""Reads and writes recordings: soundfile if it is installed, otherwise SciPy, which knows wav alone."""

from __future__ import annotations

import importlib.util
import io
import math
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdc.errors import InputError

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


def is_recording(path: Path) -> bool:
    """Whether a file is a recording, by its suffix."""
    return path.suffix.lower() in SUFFIXES


class Recording(NamedTuple):
    """A recording in mono.

    Attributes:
      samples: float32 ``[n]``; full scale is from -1 to 1.
      rate: samples per second.
    """

    samples: np.ndarray
    rate: int


def check_readable(paths: list[Path]) -> None:
    """Raises InputError if there are files that only soundfile reads, and it is not installed."""
    others = [path for path in paths if path.suffix.lower() != ".wav"]
    if others and not _has_soundfile():
        raise InputError(f"{others[0]} needs the package soundfile: pip install 'jaxdc[sound]'")


def read(path: Path) -> Recording:
    """Reads a file and mixes its channels down to their mean.

    Raises:
      OSError, ValueError: it can't be read, is empty, or has a sample that is not finite.
    """
    return decoded(path.read_bytes())


def decoded(content: bytes) -> Recording:
    """The recording in the content of a file; errors are those of ``read``."""
    if not content:
        raise ValueError("the file is empty")
    samples, rate = _by_soundfile(content) if _has_soundfile() else _by_scipy(content)
    if not len(samples):
        raise ValueError("it has no samples")
    if rate < 1:
        raise ValueError(f"its rate is {rate} Hz")
    mono = samples.mean(axis=1, dtype=np.float64)
    finite = np.isfinite(mono)
    if not finite.all():
        raise ValueError(f"its sample {int(np.argmin(finite))} is {mono[np.argmin(finite)]}")
    return Recording(mono.astype(np.float32), int(rate))


def resampled(recording: Recording, rate: int) -> np.ndarray:
    """The samples at another rate: polyphase filtering, which removes what lies above half the new rate."""
    if rate == recording.rate:
        return recording.samples
    from scipy.signal import resample_poly

    shared = math.gcd(rate, recording.rate)
    return resample_poly(recording.samples, rate // shared, recording.rate // shared).astype(np.float32)


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """A 16-bit mono wav file of samples ``[n]``; those beyond full scale are clipped."""
    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, rate, np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16))
    return file.getvalue()


def _has_soundfile() -> bool:
    return importlib.util.find_spec("soundfile") is not None


def _by_soundfile(content: bytes) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise ValueError(f"it is another format, or damaged: {_first_line(error)}") from error


def _by_scipy(content: bytes) -> tuple[np.ndarray, int]:
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():  # of chunks that hold no sound
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, x = wavfile.read(io.BytesIO(content))
    except (ValueError, EOFError, struct.error, UnboundLocalError, ZeroDivisionError, MemoryError) as error:
        raise ValueError(f"it is another format, or damaged: {_first_line(error)}") from error
    x = x[:, None] if x.ndim == 1 else x
    if x.dtype == np.uint8:
        return (x.astype(np.float32) - 128) / 128, rate
    if x.dtype.kind == "i":
        return (x / 2.0 ** (8 * x.dtype.itemsize - 1)).astype(np.float32), rate
    return x.astype(np.float32), rate


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
