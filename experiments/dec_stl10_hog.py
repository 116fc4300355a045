"""DEC on STL-10 by hand-made features: gradient histograms and a colour map of 8 x 8.

    pip install '.[data,experiments]'
    jaxdc run experiments/dec_stl10_hog.py --data-dir DIR

Not run. Protocol: train and test split merged (13,000 images), trained on their features without labels and
scored on the same images; the paper's autoencoder also learns from the 100,000 unlabelled ones.

The features follow the released code: of each of the 10 x 10 inner cells the 13 numbers of Felzenszwalb et al.
(2010: 9 orientations summed over four normalisations, and what each of those has over all orientations), and the
two colour-difference channels at 8 x 8 pixels, shifted and scaled as there: 1,428 values, as many as in the paper.
Gradients are scikit-image's, which differ from that code's in detail.
"""

import numpy as np
from PIL import Image

from jaxdc.data import ArraySource, Source
from jaxdc.errors import InputError
from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10)
DATA = "stl10"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.3590}  # Xie et al., 2016, table 2


def prepare(source: Source) -> Source:
    """The features of every image."""
    if source.shape[2:] != (3,):
        raise InputError(
            f"the features are of colour images, but those of {source.name} have shape {source.shape}"
        )
    x = [features(image) for block, _ in source.blocks(1024, shard=(0, 1)) for image in block]
    protocol = f"{source.protocol}, HOG and colour map"
    return ArraySource(np.stack(x), source.labels, name=source.name, protocol=protocol)


def features(image: np.ndarray) -> np.ndarray:
    """Those of one image, uint8 ``[96, 96, 3]``: ``[1428]``."""
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise InputError(
            f"the features need scikit-image, which is not installed ({error}); "
            "install it with: pip install 'jaxdc[experiments]'"
        ) from None
    blocks = hog(
        image,
        orientations=9,
        pixels_per_cell=(8, 8),
        cells_per_block=(2, 2),
        block_norm="L2",
        channel_axis=-1,
        feature_vector=False,
    )
    # Each inner cell lies in four blocks, in another corner of each.
    corners = [blocks[1:, 1:, 0, 0], blocks[1:, :-1, 0, 1], blocks[:-1, 1:, 1, 0], blocks[:-1, :-1, 1, 1]]
    cells = np.minimum(np.stack(corners), 0.2)
    orientations, texture = 0.5 * cells.sum(axis=0), 0.2357 * np.moveaxis(cells.sum(axis=-1), 0, -1)
    gradients = np.concatenate([orientations, texture], axis=-1)
    small = Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR).convert("YCbCr")
    colours = np.asarray(small, np.float32)[..., :0:-1]
    return np.concatenate([(gradients.ravel() - 0.2) * 10, (colours.ravel() - 128) / 10]).astype(np.float32)
