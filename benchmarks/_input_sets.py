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
    """TFRecord files of n Examples, each with ``n_bytes`` zeros for an image and then a label, 5."""
    folder.mkdir()
    image = _field(1, b"image") + _field(2, _field(1, _field(1, bytes(n_bytes))))
    label = _field(1, b"label") + _field(2, _field(3, _field(1, b"\x05")))
    example = _field(1, _field(1, image) + _field(1, label))
    record = struct.pack("<QI", len(example), 0) + example + bytes(4)
    paths = [folder / f"{i}.tfrecord" for i in range(n_files)]
    for i, path in enumerate(paths):
        with path.open("wb") as file:
            for _ in range(n * i // n_files, n * (i + 1) // n_files):
                file.write(record)
    return paths


def _field(number, content):
    return _head(number, len(content)) + content


def _head(number, n):
    """Tag and length of a field of a protocol buffer."""
    head = bytes([8 * number + 2])
    while n >= 0x80:
        head, n = head + bytes([n & 0x7F | 0x80]), n >> 7
    return head + bytes([n])
