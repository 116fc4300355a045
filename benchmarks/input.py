"""Images a second from files to batches: TFDS sets and folders, against tf.data, Pillow and grain.

    python benchmarks/input.py --cores 1 --output input.json
    python benchmarks/input.py --pictures FOLDER              # real JPEGs
    pip install grain                                         # a peer that may be absent, as may be TensorFlow

JPEGs become the central square at --side pixels. By default they are noise with the spectrum of photographs,
500 x 375, quality 90 (94 kB). All readers run in this process, on --cores of its cores, and take turns; a figure
is the median of the turns. "Per core" are images per second of processor time, which other programs on the machine
disturb less than the images/s. The peers do nothing else: tf.data reads its files from the beginning to the end,
decodes the square and interpolates; Pillow decodes, cuts and resizes in as many threads; grain reads an
ArrayRecord by row, in as many threads, and decodes with Pillow.

The second table is what opening a large set takes: finding the places of --records records of --record-bytes, and
then reading their labels. The files have just been written, so that this is the processor's time. A disk's comes
on top of it: one small read of each record for its place, and up to two for its label.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _input_sets import (
    NAME,
    photograph,
    write_array_record,
    write_empty_records,
    write_folder,
    write_tfds,
)
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table

try:
    import tensorflow_datasets
except ImportError:
    tensorflow_datasets = None
try:
    import grain
except ImportError:
    grain = None

PICTURES = 64  # different ones
SETTINGS = ("images", "side", "batch", "repeats", "records", "record_bytes")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of JPEGs, in place of noise")
    parser.add_argument("--images", type=int, default=512, help="images of a turn")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--cores", type=int, help="cores to use (default: all)")
    parser.add_argument("--records", type=int, default=1_280_000, help="of a set that is opened; 0: none")
    parser.add_argument("--record-bytes", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def jpegs_of(arguments):
    if arguments.pictures is None:
        pictures = [photograph(seed) for seed in range(min(PICTURES, arguments.images))]
    else:
        paths = sorted(path for path in arguments.pictures.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        pictures = [path.read_bytes() for path in paths[: arguments.images]]
    return list(itertools.islice(itertools.cycle(pictures), arguments.images))


def fit(jpeg, side):
    """Pillow's antialiased central square."""
    return np.asarray(ImageOps.fit(Image.open(jpeg).convert("RGB"), (side, side), Image.Resampling.BILINEAR))


def readers(place, jpegs, side, batch, cores):
    """Functions that read one epoch and return its batches, by name; and the peer of each of ours."""
    from jaxdc.data import open_source

    write_folder(place / "folder", jpegs)
    paths = sorted((place / "folder").iterdir())
    folder = open_source(str(place / "folder"), image_size=side, resident_bytes=0)

    def ours(source):
        return lambda epoch: (x for x, _ in source.batches(batch, seed=0, epoch=epoch, skip=0, shard=(0, 1)))

    def pillow(epoch):
        order = np.random.default_rng(epoch).permutation(len(paths))
        with ThreadPoolExecutor(cores) as pool:
            for i in range(0, len(paths) - batch + 1, batch):
                yield np.stack(list(pool.map(lambda row: fit(paths[row], side), order[i : i + batch])))

    found, peers = {"jaxdc, folder": ours(folder), "Pillow": pillow}, {"jaxdc, folder": "Pillow"}
    if tensorflow_datasets is not None:
        files = write_tfds(place / "tfds", jpegs)
        source = open_source(NAME, data_dir=place / "tfds", image_size=side, resident_bytes=0)
        found = {"jaxdc, TFDS": ours(source), "tf.data": tf_data(files, side, batch, cores), **found}
        peers = {"jaxdc, TFDS": "tf.data", **peers}
    if grain is not None:
        write_array_record(place / "jpegs.array_record", jpegs)
        found["grain"] = with_grain(place / "jpegs.array_record", side, batch, cores)
    return found, peers


def tf_data(files, side, batch, cores):
    import tensorflow as tf

    def decode(record):
        spec = {"image": tf.io.FixedLenFeature((), tf.string)}
        jpeg = tf.io.parse_single_example(record, spec)["image"]
        height, width = tf.unstack(tf.io.extract_jpeg_shape(jpeg)[:2])
        square = tf.minimum(height, width)
        window = tf.stack([(height - square) // 2, (width - square) // 2, square, square])
        image = tf.image.resize(tf.io.decode_and_crop_jpeg(jpeg, window, 3), (side, side))
        return tf.cast(tf.round(image), tf.uint8)

    dataset = tf.data.TFRecordDataset([os.fspath(path) for path in files])
    dataset = dataset.map(decode, num_parallel_calls=cores).batch(batch, drop_remainder=True).prefetch(1)
    return lambda epoch: dataset.as_numpy_iterator()


def with_grain(path, side, batch, cores):
    import io

    source = grain.sources.ArrayRecordDataSource([os.fspath(path)])

    def read(epoch):
        dataset = grain.MapDataset.source(source).shuffle(seed=epoch).map(lambda jpeg: fit(io.BytesIO(jpeg), side))
        options = grain.ReadOptions(num_threads=cores, prefetch_buffer_size=2 * batch)
        return iter(dataset.to_iter_dataset(options).batch(batch, drop_remainder=True))

    return read


def take_turns(found, repeats):
    """Rates of each reader, and the seconds of its turns; a first turn warms up."""
    turns = {name: [] for name in found}
    for epoch in range(repeats + 1):
        for name, read in found.items():
            wall, processor = time.perf_counter(), time.process_time()
            n = sum(len(x) for x in read(epoch))
            if epoch:
                turns[name].append((n, time.perf_counter() - wall, time.process_time() - processor))
    return {
        name: {
            "images_per_second": statistics.median(n / wall for n, wall, _ in rows),
            "images_per_processor_second": statistics.median(n / used for n, _, used in rows),
            "turns": [{"images": n, "seconds": wall, "processor_seconds": used} for n, wall, used in rows],
        }
        for name, rows in turns.items()
    }


def opening(place, n, n_bytes):
    """Seconds and processor seconds of finding records, and of reading their labels."""
    from jaxdc.data.examples import integer_of
    from jaxdc.data.records import READERS, TFRecords

    def labels_from(first):
        return [integer_of(*records.piece(row), "label") for row in range(first, min(first + 4096, n))]

    paths = write_empty_records(place / "records", n, n_bytes)
    clocks = [(time.perf_counter(), time.process_time())]
    records = TFRecords(paths)
    clocks.append((time.perf_counter(), time.process_time()))
    with ThreadPoolExecutor(READERS) as pool:
        labels = list(itertools.chain.from_iterable(pool.map(labels_from, range(0, n, 4096))))
    clocks.append((time.perf_counter(), time.process_time()))
    assert labels == [5] * n
    return {
        what: {"seconds": after[0] - before[0], "processor_seconds": after[1] - before[1]}
        for what, before, after in zip(("places", "labels"), clocks, clocks[1:], strict=False)
    }


def show(results, peers, opened, kilobytes, cores, arguments):
    console, table = Console(width=110), Table("reader", "images/s", "per core", "ours / peer, per core")
    for name, figures in results.items():
        peer = peers.get(name)
        ratio = peer and figures["images_per_processor_second"] / results[peer]["images_per_processor_second"]
        table.add_row(
            name,
            f"{figures['images_per_second']:,.0f}",
            f"{figures['images_per_processor_second']:,.0f}",
            f"{ratio:.2f}x {peer}" if ratio else "",
        )
    console.print(table)
    console.print(
        f"{arguments.images} JPEGs of {kilobytes:,.0f} kB on average to {arguments.side} pixels, batches of "
        f"{arguments.batch}; medians of {arguments.repeats} turns; {cores} {platform.machine()} cores"
    )
    if opened:
        table = Table("opening", "seconds", "processor seconds", "µs a record")
        for what, row in opened.items():
            each = row["seconds"] / arguments.records * 1e6
            table.add_row(what, f"{row['seconds']:.1f}", f"{row['processor_seconds']:.1f}", f"{each:.1f}")
        console.print(table)
        console.print(f"{arguments.records:,} records of {arguments.record_bytes:,} bytes, in 16 files")


def main():
    arguments = parse()
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-arguments.cores :])
    cores = len(os.sched_getaffinity(0))
    jpegs = jpegs_of(arguments)
    kilobytes = sum(map(len, jpegs)) / len(jpegs) / 1e3
    with tempfile.TemporaryDirectory() as folder:
        found, peers = readers(Path(folder), jpegs, arguments.side, arguments.batch, cores)
        results = take_turns(found, arguments.repeats)
        opened = opening(Path(folder), arguments.records, arguments.record_bytes) if arguments.records else {}
        show(results, peers, opened, kilobytes, cores, arguments)
        if arguments.output:
            figures = {
                "machine": {"cores": cores, "of": os.cpu_count(), "platform": platform.machine()},
                "versions": versions(),
                "settings": {name: vars(arguments)[name] for name in SETTINGS},
                "jpeg_kilobytes": kilobytes,
                "results": results,
                "opening": opened,
            }
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


def versions():
    from importlib import metadata

    found = {}
    for name in ("pillow", "tensorflow-cpu", "tensorflow", "tensorflow-datasets", "grain", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
