"""Spoken digits: k-means, TEMI, DEC and IDEC on log-mel spectrograms, and networks that learn from views of them.

    jaxdc run experiments/sound.py --data FOLDER

The Free Spoken Digit Dataset (3,000 recordings of 6 speakers at 8 kHz, CC BY-SA 4.0), in a folder with a subfolder
a digit, the files as they are named there: DIGIT_SPEAKER_NUMBER.wav. Trained on all recordings without labels, and
scored on the same. Spectrograms have 40 bands and 32 frames, each band of each recording normalized. Beside the
NMI with the digits stands that with the speakers, which clusters follow where levels are kept. No published figure
of clustering is known for this set.
"""

from pathlib import Path

import numpy as np

from jaxdc.augment import Spectrogram
from jaxdc.data import Source
from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import CC, DEC, IDEC, SCAN, TEMI, KMeans, SimCLR, Spectral

from . import datasets


def speakers(source: Source) -> np.ndarray:
    """The speaker of each recording, from its file name."""
    assert source.sample_names is not None
    return np.array([Path(name).stem.split("_")[1] for name in source.sample_names])


FSDD = DataSet(
    n_classes=10,
    about="a folder with a subfolder a digit, the 3,000 recordings of the Free Spoken Digit Dataset",
    others={"speaker": speakers},
)
NETWORK = {"n_clusters": 10, "backbone": datasets.RESNET10, "augmentation": Spectrogram()}
PRETEXT = "SimCLR + k-means"
TABLES = {
    "fsdd": Table(
        data=FSDD,
        rows={
            "k-means": Row(KMeans(n_clusters=10)),
            "spectral": Row(Spectral(n_clusters=10)),
            "TEMI": Row(TEMI(n_clusters=10)),
            "DEC": Row(DEC(n_clusters=10)),
            "IDEC": Row(IDEC(n_clusters=10)),
            "CC": Row(CC(**NETWORK)),
            PRETEXT: Row(SimCLR(**NETWORK, temperature=0.1, anchors="first", embedding="z")),
            "SCAN": Row(SCAN(**NETWORK), init_from=PRETEXT),
        },
    )
}
