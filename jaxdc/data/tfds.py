"""TensorFlow Datasets: in memory if small, streamed if large.

Records are read by row, and TensorFlow decodes a batch of them at once. The only module that imports TensorFlow,
and only when it is used.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.data.ahead import in_chunks, n_cores, read_ahead
from jaxdc.data.examples import integer_of
from jaxdc.data.records import READERS, ArrayRecords, Records, TFRecords
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.splits import choose_splits
from jaxdc.errors import InputError

RECORDS = {"tfrecord": TFRecords, "array_record": ArrayRecords}  # the file formats, and what reads them by row
READ_AT_ONCE = 16  # records that a thread reads before it takes others
LABELS_AT_ONCE = 4096
UNLABELLED = ("unsupervised", "unlabelled")  # TFDS's names for splits without classes
# Sets with other labels than TFDS's default: the TFDS name, and the feature that is the label.
OTHER_LABELS = {"cifar100_20": ("cifar100", "coarse_label")}


def load_tfds(
    name: str,
    *,
    data_dir: Path | None = None,
    split: str = "all",
    image_size: int | None = None,
    resample: str = "bilinear",
    stretch: bool = False,
    download: bool = False,
    resident_bytes: int = 2**31,
) -> Source:
    """Opens an image set of TensorFlow Datasets, in its order on disk.

    Args:
      name: TFDS name, such as ``"mnist"`` or ``"cifar10"``; or ``"cifar100_20"``, CIFAR-100 with its 20
        superclasses.
      data_dir: TFDS directory (default: TFDS's own).
      split: ``"all"`` for every split that has labels (train, then test, ...), a name, or several names joined by
        "+". Only labelled splits are reported: ``"all+unlabelled"`` of STL-10 also trains on the unlabelled
        images.
      image_size: height and width to resize images to; required if the images differ in size. Of an image that is
        no square the central one is cut out.
      resample: "bilinear" or "bicubic".
      stretch: stretch images to a square instead of cutting one out.
      download: download and prepare a missing set.
      resident_bytes: larger sets are streamed.

    Raises:
      InputError: TensorFlow is missing, or there is no such set, split or file.
    """
    builder, label_key = prepared(name, data_dir=data_dir, download=download)
    source = TFDSSource(builder, name, split, image_size, label_key, resample=resample, stretch=stretch)
    if source.n_samples * int(np.prod(source.shape)) > resident_bytes:
        return source
    x = np.empty((source.n_samples, *source.shape), np.uint8)
    for block, rows in source.blocks(1024, shard=(0, 1)):
        x[rows] = block
    return ArraySource(x, source.labels, name=name, protocol=source.protocol, n_reported=source.n_reported)


def prepared(name: str, *, data_dir: Path | None = None, download: bool = False) -> tuple[Any, str | None]:
    """The builder of a set that is prepared on disk, and the label feature if it is not TFDS's default.

    The arguments and errors are those of ``load_tfds``.
    """
    tfds = _import_tfds(name)
    set_name, label_key = OTHER_LABELS.get(name, (name, None))
    try:
        builder = tfds.builder(set_name, data_dir=None if data_dir is None else str(data_dir))
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        where = f" in {data_dir}" if data_dir else ""
        raise InputError(
            f"TensorFlow Datasets has no set {set_name!r}{where}: {str(error).splitlines()[0]}"
        ) from None
    if download:
        builder.download_and_prepare()
    if not builder.info.splits:
        raise InputError(
            f"the data set {name} is not prepared in {builder.data_dir}: pass its folder with --data-dir, "
            "or download it with --download"
        )
    return builder, label_key


class TFDSSource(Source):
    """Images that are read from TFDS files when needed.

    Every process finds the places of all records, and reads the images of its own rows alone.

    Args:
      builder: a prepared TFDS builder.
      name: name of the set.
      split: as in ``load_tfds``.
      image_size: height and width to resize images to, or None to keep them.
      label_key: name of the label feature; None for TFDS's default.
      resample: as in ``load_tfds``.
      stretch: as in ``load_tfds``.

    Raises:
      InputError: the set has no such split or no images of 8 bits, a file is damaged, or its format can't be read
        by row.
    """

    order = "permutation"

    def __init__(
        self,
        builder: Any,
        name: str,
        split: str,
        image_size: int | None,
        label_key: str | None = None,
        *,
        resample: str = "bilinear",
        stretch: bool = False,
    ):
        info = builder.info
        self.name, self._info, self._resample = name, info, resample
        self._image_key, self._label_key = _feature_names(info, name, label_key)
        feature = info.features[self._image_key]
        if image_size is None and None in feature.shape:
            raise InputError(f"the images of {name} differ in size: pass one with --image-size")
        size = feature.shape[:2] if image_size is None else (image_size, image_size)
        self.shape, self.dtype = (*size, feature.shape[2] or 3), np.dtype(np.uint8)
        self._fit = "keep" if image_size is None else "stretch" if stretch else "cut"
        labelled = {s: self._has_labels(s) for s in info.splits}
        self._splits = choose_splits(split, labelled, name)
        self.protocol = "+".join(self._splits)
        self._records = self._open([path for s in self._splits for path in info.splits[s].filepaths])
        self.n_samples = sum(info.splits[s].num_examples for s in self._splits)
        if len(self._records) != self.n_samples:
            raise InputError(
                f"the files of {name} in {info.data_dir} hold {len(self._records):,} records, but its description "
                f"counts {self.n_samples:,}: prepare it again"
            )
        n_labelled = sum(info.splits[s].num_examples for s in self._splits if labelled[s])
        self.n_reported = n_labelled if 0 < n_labelled < self.n_samples else None
        self.labels = None
        if self._label_key is not None and n_labelled:
            labels = self._read_labels(n_labelled)
            self.labels = labels if labels.min() >= 0 else None

    def read(self, rows):
        with ThreadPoolExecutor(READERS) as readers:

            def load(part: np.ndarray) -> np.ndarray:
                chunks = readers.map(self._records.read, in_chunks(part, READ_AT_ONCE))
                return self._decoded(list(itertools.chain.from_iterable(chunks)), part)

            yield from read_ahead(rows, load)

    def fingerprint(self):
        checksums = [str(self._info.splits[s].shard_lengths) for s in self._splits]
        how = "" if self._fit == "keep" else f" {self._fit} {self._resample}"
        return f"{self._info.full_name} {self.protocol} {' '.join(checksums)}{how}"

    def _open(self, paths: Sequence[Any]) -> Records:
        form = self._info.file_format
        kind = RECORDS.get("" if form is None else form.value)
        if kind is None:
            raise InputError(
                f"{self.name} is prepared as {form and form.value}, which can't be read by row: prepare it again "
                f"as {' or '.join(RECORDS)}"
            )
        return kind([Path(path) for path in paths])

    def _has_labels(self, split: str) -> bool:
        """Whether its first example has a class; TFDS marks unlabelled splits with -1."""
        info = self._info.splits[split]
        first = [path for path, n in zip(info.filepaths, info.shard_lengths, strict=True) if n][:1]
        if split in UNLABELLED or not first:
            return False
        return self._label_key is None or self._label(self._open(first), 0) >= 0

    def _read_labels(self, n: int) -> np.ndarray:
        """The classes of the first n records, of which only a few bytes are read."""

        def read(rows: np.ndarray) -> list[int]:
            return [self._label(self._records, row) for row in rows.tolist()]

        with ThreadPoolExecutor(READERS) as pool:
            return np.concatenate(list(pool.map(read, in_chunks(np.arange(n), LABELS_AT_ONCE)))).astype(np.int64)

    def _label(self, records: Records, row: int) -> int:
        assert self._label_key is not None
        try:
            return integer_of(*records.piece(row), self._label_key)
        except ValueError as error:
            raise InputError(f"record {row} of {self.name} can't be read: {error}") from None

    def _decoded(self, records: list[bytes], rows: np.ndarray) -> np.ndarray:
        """The images ``[b, height, width, channels]`` of these records."""
        tf = _import_tensorflow()
        try:
            images = self._decode(tf.constant(records, tf.string))
            return np.asarray(memoryview(images))  # images.numpy() would copy them
        except tf.errors.InvalidArgumentError as error:
            for row, record in zip(rows.tolist(), records, strict=True):
                try:
                    self._decode(tf.constant([record]))
                except tf.errors.InvalidArgumentError:
                    raise InputError(f"the image in record {row} of {self.name} can't be read") from error
            raise

    @functools.cached_property
    def _decode(self) -> Any:
        """Decodes a batch of records, of which TensorFlow's threads take one each."""
        tf = _import_tensorflow()
        height, width, channels = self.shape
        spec = {self._image_key: tf.io.FixedLenFeature((), tf.string)}

        def image_of(record: Any) -> Any:
            encoded = tf.io.parse_single_example(record, spec)[self._image_key]
            if self._fit == "keep":
                image = tf.io.decode_image(encoded, channels, expand_animations=False)
            elif self._fit == "cut" and self._resample == "bilinear" and channels in (1, 3):
                image = tf.cond(
                    tf.io.is_jpeg(encoded),
                    lambda: _small_square(tf, encoded, height, channels),
                    lambda: self._resized(tf, encoded),
                )
            else:
                image = self._resized(tf, encoded)
            return tf.ensure_shape(image, (height, width, channels))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def decode(records: Any) -> Any:
            images = tf.data.Dataset.from_tensor_slices(records)
            images = images.map(image_of, num_parallel_calls=n_cores(), deterministic=True)
            return images.batch(tf.size(records, tf.int64)).get_single_element()

        return decode

    def _resized(self, tf: Any, encoded: Any) -> Any:
        """An image of any format, as the antialiased resampling of its central square or of the whole."""
        height, width, channels = self.shape
        image = tf.io.decode_image(encoded, channels, expand_animations=False)
        if self._fit == "cut":
            full = tf.shape(image)
            side = tf.minimum(full[0], full[1])
            top, left = (full[0] - side) // 2, (full[1] - side) // 2
            image = image[top : top + side, left : left + side]
        image = tf.image.resize(image, (height, width), self._resample, antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)


def _small_square(tf: Any, encoded: Any, side: int, channels: int) -> Any:
    """The central square of a JPEG at ``[side, side]``.

    As long as it stays as large as ``side``, the decoder makes a half, a quarter or an eighth of it: it leaves out
    the cosines beyond. Interpolation then shrinks by less than 2, so that it hardly needs to be antialiased.
    """
    full = tf.io.extract_jpeg_shape(encoded)[:2]

    def at(ratio: int) -> Any:
        shape = (full + (ratio - 1)) // ratio
        square = tf.minimum(shape[0], shape[1])
        window = tf.stack([(shape[0] - square) // 2, (shape[1] - square) // 2, square, square])
        image = tf.io.decode_and_crop_jpeg(
            encoded, window, channels, ratio=ratio, dct_method="INTEGER_ACCURATE", fancy_upscaling=True
        )
        image = tf.image.resize(image, (side, side), "bilinear")
        return tf.cast(image + 0.5, tf.uint8)  # rounds: interpolation stays within 0 to 255

    shrink = tf.minimum(full[0], full[1]) // side
    which = tf.searchsorted([2, 4, 8], shrink[None], side="right")[0]
    return tf.switch_case(which, [lambda ratio=ratio: at(ratio) for ratio in (1, 2, 4, 8)])


def _feature_names(info: Any, name: str, label_key: str | None) -> tuple[str, str | None]:
    """The names of the image and of the label feature; ``label_key`` is the latter, if it isn't TFDS's default."""
    tfds = _import_tfds(name)
    keys = info.supervised_keys
    image, label = (keys[0], label_key or keys[1]) if keys else ("image", label_key)
    feature: Any = info.features[image] if image in info.features else None
    if not (isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8):
        raise InputError(f"the data set {name} holds no images of 8 bits; it has {', '.join(info.features)}")
    if not isinstance(label, str) or label not in info.features:
        return image, None
    kind = info.features[label]
    return image, label if kind.shape == () and np.dtype(kind.np_dtype).kind in "iub" else None


def _import_tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log lines on standard error
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    # Leave the accelerator to JAX.
    tf.config.set_visible_devices([], "GPU")
    return tf


def _import_tfds(name: str):
    try:
        _import_tensorflow()
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"the data set {name} needs TensorFlow Datasets, which is not installed ({error}): "
            "install it with pip install 'jaxdc[data]'"
        ) from None
    return tfds
