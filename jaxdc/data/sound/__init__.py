"""Recordings: read, resampled, and turned into log-mel spectrograms that methods see as grey images."""

from jaxdc.data.sound.log_mel import LogMel as LogMel
from jaxdc.data.sound.log_mel import mel_filters as mel_filters
from jaxdc.data.sound.reading import SUFFIXES as SUFFIXES
from jaxdc.data.sound.source import Recordings as Recordings
from jaxdc.data.sound.source import SoundSource as SoundSource
from jaxdc.data.sound.source import load_sounds as load_sounds
