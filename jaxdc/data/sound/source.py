"""A folder of recordings as a source of spectrograms."""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from jaxdc.data.folders import files_below, subfolder_classes
from jaxdc.data.sound import reading
from jaxdc.data.sound.log_mel import HOP_SECONDS, WINDOW_SECONDS, LogMel, middle
from jaxdc.data.sources import ArraySource
from jaxdc.errors import InputError

HIGHEST_DEFAULT_RATE = 16_000
LONGEST_SECONDS = 60.0  # of a recording that are looked at: those in its middle
COARSE = 8  # frames in one column, above which a spectrogram says little

T = TypeVar("T")


class Recordings:
    """The sounds of a source, to be listened to.

    Args:
      paths: one file per sample.
    """

    def __init__(self, paths: Sequence[Path]):
        self._paths = list(paths)

    def __len__(self) -> int:
        return len(self._paths)

    def clip(self, row: int, *, seconds: float, rate: int) -> bytes:
        """The middle of a recording as a 16-bit mono wav file, of at most this length and this rate."""
        recording = reading.read(self._paths[row])
        part = reading.Recording(middle(recording.samples, int(seconds * recording.rate)), recording.rate)
        rate = min(rate, recording.rate)
        return reading.wav_bytes(reading.resampled(part, rate), rate)


class SoundSource(ArraySource):
    """Spectrograms of recordings, in memory.

    Args:
      folder: folder of the recordings, used as the name.
      paths: path of each recording.
      spectrograms: ``[n, n_mels, n_frames, 1]``.
      log_mel: how they were made, with the rate.
      checksum: checksum of the contents of all files.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], spectrograms: np.ndarray, log_mel: LogMel, checksum: int
    ):
        super().__init__(
            spectrograms,
            subfolder_classes(folder, paths).labels,
            sample_names=[str(path) for path in paths],
            name=str(folder),
            protocol="all recordings of the folder",
        )
        self.sounds, self.log_mel, self._checksum = Recordings(paths), log_mel, checksum
        self.offset = 0.5 if log_mel.normalized else 0.0

    def fingerprint(self):
        # Of the files, as spectrograms may differ by rounding between machines, yet the run is the same.
        how = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(self.log_mel).items())
        return f"{self.n_samples} recordings crc32 {self._checksum:08x} ({how})"


class _Read(NamedTuple):
    spectrogram: np.ndarray
    checksum: int
    seconds: float
    silent: bool


def load_sounds(
    folder: Path,
    log_mel: LogMel | None = None,
    *,
    skip_bad_sounds: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> SoundSource:
    """Loads the recordings in a folder, sorted by path, as log-mel spectrograms.

    If every recording is in a subfolder, and there are several, the first subfolder is its class. Channels are
    mixed down. Of a recording longer than a minute the middle minute is used; one shorter than 25 ms is followed
    by silence.

    Args:
      folder: folder of .wav, .flac, .ogg and .mp3 files, at any depth; hidden files are left out. Without the
        package soundfile only wav can be read.
      log_mel: how to make spectrograms.
      skip_bad_sounds: skip unreadable files, and report how many there were.
      say: receives messages for the user.

    Raises:
      InputError: there are no recordings, or one can't be read (the message names it).
    """
    log_mel = log_mel or LogMel()
    listing = files_below(folder, reading.is_recording)
    paths, left_out = listing.paths, listing.said_left_out()
    if not paths:
        raise InputError(f"{folder} has no recordings ({', '.join(sorted(reading.SUFFIXES))})")
    reading.check_readable(paths)
    if log_mel.rate is None:
        rates = _each(paths, lambda path: reading.read(path).rate)
        paths, rates = _without_bad(paths, rates, skip_bad_sounds, say)
        log_mel = dataclasses.replace(log_mel, rate=min(*rates, HIGHEST_DEFAULT_RATE))
    rate = log_mel.rate
    assert rate is not None

    def one(path: Path) -> _Read:
        content = path.read_bytes()
        recording = reading.decoded(content)
        seconds = len(recording.samples) / recording.rate
        used = middle(recording.samples, int(LONGEST_SECONDS * recording.rate))
        samples = reading.resampled(reading.Recording(used, recording.rate), rate)
        return _Read(log_mel(samples, rate), zlib.crc32(content), seconds, not used.any())

    paths, found = _without_bad(paths, _each(paths, one), skip_bad_sounds, say)
    checksum = zlib.crc32(np.array([each.checksum for each in found], np.uint32).tobytes())
    source = SoundSource(folder, paths, np.stack([each.spectrogram for each in found]), log_mel, checksum)
    about = _understood(log_mel, np.array([each.seconds for each in found]))
    source.understood = "; ".join([about, subfolder_classes(folder, paths).said, *left_out])
    n_silent = sum(each.silent for each in found)
    if n_silent:
        first = next(path for path, each in zip(paths, found, strict=True) if each.silent)
        say(f"{n_silent} of {len(paths)} recordings are silent; the first is {first}")
    return source


def _understood(log_mel: LogMel, seconds: np.ndarray) -> str:
    assert log_mel.rate is not None
    parts = [
        f"{len(seconds):,} recordings of {seconds.min():.2f} to {seconds.max():.2f} s (median "
        f"{np.median(seconds):.2f}) at {log_mel.rate:,} Hz; log-mel spectrograms of {log_mel.n_mels} bands x "
        f"{log_mel.n_frames} frames"
    ]
    length = log_mel.n_frames * HOP_SECONDS
    if log_mel.fit == "middle":
        parts[0] += f" from the middle {length:.2f} s"
        n_short = int((seconds < length).sum())
        if n_short:
            parts.append(f"{n_short:,} shorter ones are padded with silence")
    else:
        parts[0] += ", to which each is stretched"
        used = np.minimum(seconds, LONGEST_SECONDS)
        if np.median(used) > COARSE * length:
            parts.append(
                f"that leaves one column for {np.median(used) / log_mel.n_frames:.2f} s: more --sound-frames, or "
                "--sound-fit middle, would keep more of the detail"
            )
    n_long, n_tiny = int((seconds > LONGEST_SECONDS).sum()), int((seconds < WINDOW_SECONDS).sum())
    if n_long and log_mel.fit == "stretch":
        parts.append(f"of {n_long:,} longer than {LONGEST_SECONDS:.0f} s only the middle is used")
    if n_tiny:
        parts.append(f"{n_tiny:,} shorter than a window of {1000 * WINDOW_SECONDS:.0f} ms say little")
    parts.append(
        "each band of each recording is normalized" if log_mel.normalized else "levels are kept as they are"
    )
    return "; ".join(parts)


def _each(paths: Sequence[Path], read: Callable[[Path], T]) -> list[T | Exception]:
    """What is read of each file, or the exception."""

    def attempt(path: Path) -> T | Exception:
        try:
            return read(path)
        except (OSError, ValueError) as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(attempt, paths))


def _without_bad(
    paths: Sequence[Path], values: Sequence[T | Exception], skip: bool, say: Callable[[str], None]
) -> tuple[list[Path], list[T]]:
    """Drops what could not be read, or raises InputError that names it."""
    good = [(path, v) for path, v in zip(paths, values, strict=True) if not isinstance(v, Exception)]
    bad = [(path, v) for path, v in zip(paths, values, strict=True) if isinstance(v, Exception)]
    if bad and not skip:
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise InputError(
            f"the recording {bad[0][0]} can't be read ({bad[0][1]}){more}; "
            "fix or remove it, or skip such recordings with --skip-bad-sounds"
        )
    if not good:
        raise InputError(
            f"none of the {len(paths)} recordings can be read; the first is {bad[0][0]} ({bad[0][1]})"
        )
    if bad:
        say(f"skipped {len(bad)} of {len(paths)} recordings that can't be read; the first is {bad[0][0]}")
    return [path for path, _ in good], [v for _, v in good]
