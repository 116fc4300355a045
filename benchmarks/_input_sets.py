"""What ``input.py`` reads: photographs made of noise, as TFDS set, ArrayRecord and folder; and empty records."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
from PIL import Image

NAME = "photographs"


def photograph(seed, width=500, height=375, quality=90):
    """The bytes of a JPEG of noise whose spectrum falls like that of photographs, in colours that go together."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    amplitude = 1 / np.maximum(frequency, 1 / max(width, height)) ** 1.2
    planes = []
    for _ in range(3):
        noise = rng.normal(size=(2, *amplitude.shape))
        plane = np.fft.irfft2((noise[0] + 1j * noise[1]) * amplitude, s=(height, width))
        planes.append(plane / plane.std())
    light, red, blue = planes
    rgb = np.stack([light + 0.3 * red, light - 0.15 * (red + blue), light + 0.3 * blue], axis=-1)
    file = io.BytesIO()
    Image.fromarray(np.clip(50 * rgb + 120, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_folder(folder, jpegs):
    folder.mkdir()
    for i, jpeg in enumerate(jpegs):
        (folder / f"{i:06}.jpg").write_bytes(jpeg)


def write_array_record(path, jpegs):
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
    for jpeg in jpegs:
        writer.write(jpeg)
    writer.close()


def write_tfds(folder, jpegs, n_files=4):
    """A TFDS set of these images with one label; returns the paths of its files."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    place = folder / NAME / "1.0.0"
    place.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(None, None, 3)), "label": tfds.features.ClassLabel(num_classes=10)}
    )
    template = tfds.core.ShardedFileTemplate(
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        data_dir=place,
        dataset_name=NAME,
        filetype_suffix="tfrecord",
    )
    paths, lengths = [], []
    for i in range(n_files):
        paths.append(place / f"{NAME}-train.tfrecord-{i:05}-of-{n_files:05}")
        part = jpegs[i::n_files]
        with tf.io.TFRecordWriter(os.fspath(paths[-1])) as writer:
            for jpeg in part:
                writer.write(features.serialize_example({"image": io.BytesIO(jpeg), "label": 0}))
        lengths.append(len(part))
    split = tfds.core.SplitInfo(name="train", shard_lengths=lengths, num_bytes=0, filename_template=template)
    tfds.folder_dataset.write_metadata(
        data_dir=os.fspath(place),
        features=features,
        split_infos=[split],
        version="1.0.0",
        filename_template=template,
        supervised_keys=("image", "label"),
        check_data=False,
    )
    return paths


def write_empty_records(folder, n, n_bytes, n_files=16):
    """TFRecord files of n Examples with an image of ``n_bytes`` zeros, holes in the files, and a label."""
    folder.mkdir()
    paths = []
    label = _field(1, _field(1, b"label") + _field(2, _field(3, _field(1, b"\x05"))))
    feature = _head(1, n_bytes)
    feature = _head(1, len(feature) + n_bytes) + feature
    value = _head(2, len(feature) + n_bytes) + feature
    entry = _field(1, b"image") + value
    entry = _head(1, len(entry) + n_bytes) + entry
    before = _head(1, len(entry) + n_bytes + len(label)) + entry
    before = struct.pack("<QI", len(before) + n_bytes + len(label), 0) + before
    after = label + bytes(4)
    for i in range(n_files):
        paths.append(folder / f"{i}.tfrecord")
        with open(paths[-1], "wb", buffering=2**16) as file:
            for _ in range(n * i // n_files, n * (i + 1) // n_files):
                file.write(before)
                file.seek(n_bytes, os.SEEK_CUR)
                file.write(after)
            file.flush()
            os.fsync(file.fileno())
    return paths


def forget(paths):
    """Takes the files out of the machine's memory, so that they are read from the disk."""
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def _field(number, content):
    return _head(number, len(content)) + content


def _head(number, n):
    """Tag and length of a field of a protocol buffer."""
    head = bytes([8 * number + 2])
    while n >= 0x80:
        head, n = head + bytes([n & 0x7F | 0x80]), n >> 7
    return head + bytes([n])
