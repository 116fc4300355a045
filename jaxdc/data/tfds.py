"""TensorFlow Datasets through tf.data: in memory if small, streamed if large.

The only module that imports TensorFlow, and only when it is used.
"""

from __future__ import annotations

import functools
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.data.records import Records
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.splits import choose_splits
from jaxdc.errors import InputError

SHUFFLE_BUFFER = 50_000  # size of the shuffle buffer, in encoded images
UNLABELLED = ("unsupervised", "unlabelled")  # TFDS's names for splits without classes
# Sets with other labels than TFDS's default: the TFDS name, and the feature that is the label.
OTHER_LABELS = {"cifar100_20": ("cifar100", "coarse_label")}


def load_tfds(
    name: str,
    *,
    data_dir: Path | None = None,
    split: str = "all",
    image_size: int | None = None,
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
      image_size: height and width to resize images to; required if the images differ in size.
      download: download and prepare a missing set.
      resident_bytes: larger sets are streamed.

    Raises:
      InputError: TensorFlow is missing, or there is no such set, split or file.
    """
    builder, label_key = prepared(name, data_dir=data_dir, download=download)
    source = TFDSSource(builder, name, split, image_size, label_key)
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

    Args:
      builder: a prepared TFDS builder.
      name: name of the set.
      split: as in ``load_tfds``.
      image_size: height and width to resize images to, or None to keep them.
      label_key: name of the label feature; None for TFDS's default.
    """

    def __init__(self, builder: Any, name: str, split: str, image_size: int | None, label_key: str | None = None):
        info = builder.info
        self._image_key, own_label_key = _feature_names(info, name)
        self._label_key = label_key or own_label_key
        self._features, feature = info.features, info.features[self._image_key]
        if image_size is None and None in feature.shape:
            raise InputError(f"the images of {name} differ in size: pass one with --image-size")
        size = feature.shape[:2] if image_size is None else (image_size, image_size)
        self.name, self._builder, self._feature, self._resize = name, builder, feature, image_size is not None
        labelled = {s: self._has_labels(s) for s in info.splits}
        self._splits = choose_splits(split, labelled, name)
        self.protocol = "+".join(self._splits)
        self.shape, self.dtype = (*size, feature.shape[2] or 3), np.dtype(np.uint8)
        self.n_samples = sum(info.splits[s].num_examples for s in self._splits)
        n_labelled = sum(info.splits[s].num_examples for s in self._splits if labelled[s])
        self.n_reported = n_labelled if 0 < n_labelled < self.n_samples else None
        self.labels = None
        if self._label_key is not None and n_labelled:
            labels = self._read_labels()[:n_labelled]
            self.labels = labels if labels.min() >= 0 else None

    def batches(self, batch_size, *, seed, epoch, skip, shard):
        dataset = self._encoded().shard(shard[1], shard[0])
        dataset = dataset.shuffle(
            min(SHUFFLE_BUFFER, self.n_samples), seed=_mix(seed, epoch), reshuffle_each_iteration=False
        )
        # Every process takes the same number of batches, whatever the length of its shard.
        n_batches = self.n_samples // (batch_size * shard[1])
        dataset = dataset.take(n_batches * batch_size).skip(skip * batch_size)
        yield from self._decoded(dataset, batch_size)

    def blocks(self, batch_size, *, shard):
        yield from self._decoded(self._encoded().shard(shard[1], shard[0]), batch_size)

    def read(self, rows):
        tf = _import_tensorflow()
        skip = {self._image_key: _import_tfds(self.name).decode.SkipDecoding()}
        records, rows = self._records, iter(rows)
        first = next(rows, None)
        if first is None:
            return

        def serialized():
            for part in itertools.chain([first], rows):
                for row in part.tolist():
                    yield row, records[row]

        def parse(row, record):
            return row, self._features.deserialize_example(record, decoders=skip)[self._image_key]

        kinds = (tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.string))
        dataset = tf.data.Dataset.from_generator(serialized, output_signature=kinds)
        dataset = dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        yield from self._decoded(dataset, len(first))

    @functools.cached_property
    def _records(self) -> Records:
        splits = [self._builder.info.splits[s] for s in self._splits]
        form = self._builder.info.file_format
        if form is None or form.value != "tfrecord":
            raise InputError(
                f"{self.name} is prepared as {form and form.value}, which can't be read by row: a method that "
                "draws neighbours needs it as tfrecord, or on the device (--resident-gib)"
            )
        return Records([Path(path) for split in splits for path in split.filepaths])

    def fingerprint(self):
        info = self._builder.info
        checksums = [str(info.splits[s].shard_lengths) for s in self._splits]
        return f"{info.full_name} {self.protocol} {' '.join(checksums)}"

    def _has_labels(self, split: str) -> bool:
        """Whether its first example has a class; TFDS marks unlabelled splits with -1."""
        if split in UNLABELLED:
            return False
        if self._label_key is None:
            return True
        tfds = _import_tfds(self.name)
        skip = {self._image_key: tfds.decode.SkipDecoding()}
        example = next(iter(self._builder.as_dataset(split=f"{split}[:1]", decoders=skip)))
        return int(example[self._label_key]) >= 0

    def _dataset(self):
        """All examples, undecoded, in file order."""
        tfds = _import_tfds(self.name)
        parts = [
            self._builder.as_dataset(
                split=split,
                shuffle_files=False,
                decoders={self._image_key: tfds.decode.SkipDecoding()},
                read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            )
            for split in self._splits
        ]
        dataset = parts[0]
        for part in parts[1:]:
            dataset = dataset.concatenate(part)
        return dataset

    def _encoded(self):
        return self._dataset().map(lambda example: example[self._image_key]).enumerate()

    def _decoded(self, dataset, batch_size):
        tf = _import_tensorflow()

        def decode(row, encoded):
            image = self._feature.decode_example(encoded)
            if self._resize:
                image = tf.image.resize(image, self.shape[:2], antialias=True)
                image = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
            return tf.ensure_shape(image, self.shape), row

        dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
        return dataset.as_numpy_iterator()

    def _read_labels(self):
        labels = self._dataset().map(lambda example: example[self._label_key])
        return np.concatenate(list(labels.batch(8192).as_numpy_iterator()))


def _feature_names(info: Any, name: str) -> tuple[str, str | None]:
    """The names of the image and the label features."""
    keys = info.supervised_keys
    image, label = (keys[0], keys[1]) if keys else ("image", None)
    if image not in info.features or len(info.features[image].shape or ()) != 3:
        raise InputError(f"the data set {name} holds no images; it has {', '.join(info.features)}")
    return image, label if isinstance(label, str) and label in info.features else None


def _mix(seed: int, epoch: int) -> int:
    return int(np.random.default_rng((seed, epoch)).integers(2**31))


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
