"""Opens the source that ``--data`` names."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdc.data import graphs
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.splits import refuse_split
from jaxdc.data.views import load_views
from jaxdc.errors import InputError
from jaxdc.reading import check_regular

if TYPE_CHECKING:
    from jaxdc.data.sound import LogMel
    from jaxdc.data.text import Fitted, Vectorizer

# Names to compare misspelt names with; any other TFDS name works too.
NAMES = (
    "digits",
    "mnist",
    "fashion_mnist",
    "kmnist",
    "emnist",
    "cifar10",
    "cifar100",
    "cifar100_20",
    "stl10",
    "svhn_cropped",
    "imagenette",
    "imagenet2012",
    "oxford_flowers102",
    "oxford_iiit_pet",
    "food101",
    "caltech101",
    "eurosat",
)
FILE_SUFFIXES = (".npy", ".npz", ".csv", ".parquet", ".mat", ".txt", ".jsonl", *graphs.SUFFIXES)
TABLE_SUFFIXES = (".csv", ".parquet")
VIEW_SUFFIXES = (".npz", ".mat")  # of files that may hold several views of a sample


def open_source(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    split: str = "all",
    image_size: int | None = None,
    channels: int | None = None,
    resample: str = "bilinear",
    stretch: bool = False,
    skip_bad_images: bool = False,
    divisors: Mapping[str, float] | None = None,
    sound: LogMel | None = None,
    skip_bad_sounds: bool = False,
    views: str | None = None,
    download: bool = False,
    text_column: str | None = None,
    label_column: str | None = None,
    skip_empty_texts: bool = False,
    vectorizer: Vectorizer | Fitted | None = None,
    resident_bytes: int = 2**31,
    say: Callable[[str], None] = lambda text: None,
) -> Source:
    """Opens ``digits``, a TFDS name, a file of numbers or texts, or a folder of images, recordings or texts.

    Numbers: ``.npy``, ``.npz``, ``.csv``, ``.mat``. Texts: ``.txt``, ``.jsonl``, ``.csv`` with a column of texts.

    Args:
      data: name or path of the data.
      data_dir: TFDS directory.
      split: split of a TFDS set, a file of encoded images, or text records with a split column: ``"all"``, a name,
        or several names joined by "+".
      image_size: height and width to resize images to.
      channels: 1 or 3, for a folder of images (default: 1 if all are grey, else 3).
      resample: "bilinear" or "bicubic", of a folder of images or a TFDS set.
      stretch: images of these that are no squares are stretched to one, in place of being cut.
      skip_bad_images: skip unreadable images in a folder.
      divisors: what the values of images of more than 8 bits are divided by, as in ``Source.divisors`` of the data
        that a run was trained on (default: by the largest value of these data).
      sound: how recordings become spectrograms (default: ``LogMel()``); InputError for other data.
      skip_bad_sounds: skip unreadable recordings in a folder.
      views: views of a file with several arrays: names or positions, separated by commas (default: the first two).
      download: let TFDS download a missing set.
      text_column: column or JSON field that holds the texts.
      label_column: column of a table that holds the classes, by its name, or by its place from 1 where there are
        no names; "none" if no column does.
      skip_empty_texts: skip empty documents.
      vectorizer: vectoriser for texts (default: tf-idf).
      resident_bytes: larger sets are streamed.
      say: receives messages for the user.

    Raises:
      InputError: there are no such data, or they are invalid.
    """
    data, data_dir = str(data), None if data_dir is None else Path(data_dir)
    asked = {
        "data": str(Path(data).absolute()) if Path(data).exists() else data,
        "data_dir": None if data_dir is None else str(data_dir.absolute()),
        "split": split,
        "image_size": image_size,
        "resample": resample,
        "stretch": stretch,
        "skip_bad_images": skip_bad_images,
        "views": views,
        "text_column": text_column,
        "label_column": label_column,
        "skip_empty_texts": skip_empty_texts,
    }
    if image_size is not None and image_size < 1:
        raise InputError(f"image_size must be at least 1 pixel, but is {image_size}")
    path = Path(data)
    if path.exists() and not path.is_dir():
        check_regular(path)
    if path.exists() and holds_sounds(path):
        if text_column is not None:
            raise InputError(f"--text-column {text_column} needs texts, but {data} has recordings")
        from jaxdc.data.sound import load_sounds

        sounds = load_sounds(path, sound, skip_bad_sounds=skip_bad_sounds, say=say)
        if sounds.array is not None and sounds.array.nbytes > resident_bytes:
            sounds.array = None  # send batches to the device
        asked |= {"sound": dataclasses.asdict(sounds.log_mel), "skip_bad_sounds": skip_bad_sounds}
        source: Source = sounds
        say(f"{data}: {source.understood}")
    elif sound is not None:
        raise InputError(f"settings of sound need a folder of recordings, but {data} has none")
    elif path.exists() and holds_texts(path, text_column):
        from jaxdc.data import text

        documents = text.read_documents(
            path, column=text_column, split=split, skip_empty=skip_empty_texts, say=say
        )
        if documents.understood:
            say(f"{data}: {documents.understood}")
        chosen = vectorizer or text.TfIdf()
        source = text.TextSource(documents, chosen, resident_bytes=resident_bytes, say=say)
    elif text_column is not None:
        raise InputError(f"--text-column {text_column} needs texts, but {data} has none")
    else:
        source = _open_numbers(
            data,
            data_dir=data_dir,
            split=split,
            image_size=image_size,
            channels=channels,
            resample=resample,
            stretch=stretch,
            skip_bad_images=skip_bad_images,
            divisors=divisors,
            views=views,
            download=download,
            label_column=label_column,
            resident_bytes=resident_bytes,
            say=say,
        )
        if source.understood:
            say(f"{data}: {source.understood}")
    source.opened = asked
    return source


def _open_numbers(
    data: str,
    *,
    data_dir: Path | None,
    split: str,
    image_size: int | None,
    channels: int | None,
    resample: str,
    stretch: bool,
    skip_bad_images: bool,
    divisors: Mapping[str, float] | None,
    views: str | None,
    download: bool,
    label_column: str | None,
    resident_bytes: int,
    say: Callable[[str], None],
) -> Source:
    """Opens images, matrices and tables."""
    path = Path(data)
    if label_column is not None and path.suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(f"--label-column is for tables ({', '.join(TABLE_SUFFIXES)}), and {data} is none")
    if views is not None and path.suffix.lower() not in VIEW_SUFFIXES:
        raise InputError(f"--views needs an .npz or .mat file with several arrays, but is used with {data}")
    if data == "digits" or (path.exists() and path.suffix.lower() != ".npz"):
        refuse_split(split, data)
    if path.is_dir():
        from jaxdc.data.images import load_folder

        return load_folder(
            path,
            image_size=image_size,
            channels=channels,
            resample=resample,
            stretch=stretch,
            skip_bad_images=skip_bad_images,
            divisors=divisors,
            resident_bytes=resident_bytes,
            say=say,
        )
    if path.is_file() and views is None and label_column is None and graphs.holds_graph(path):
        return graphs.load_graph(path)
    if path.is_file():
        from jaxdc.data import csv_files, files, frames

        images = {"split": split, "image_size": image_size, "channels": channels, "divisors": divisors}
        load_npz = functools.partial(files.load_npz, views=views, **images)
        load_npy = functools.partial(files.load_npy, resident_bytes=resident_bytes)
        loaders = {".npy": load_npy, ".npz": load_npz}
        loaders[".csv"] = functools.partial(csv_files.load_csv, label_column=label_column)
        loaders[".parquet"] = functools.partial(frames.load_parquet, label_column=label_column)
        loaders[".mat"] = functools.partial(load_views, chosen=views)
        if path.suffix.lower() not in loaders:
            raise InputError(
                f"{path} must be a folder of images, recordings or texts, or a file ending in "
                f"{', '.join(FILE_SUFFIXES)}"
            )
        source = loaders[path.suffix.lower()](path)
        if source.array is not None and source.array.nbytes > resident_bytes:
            source.array = None  # keep it on the host or on disk, and send batches to the device
        return source
    if data == "digits":
        return digits()
    _check_name(data)
    from jaxdc.data.tfds import load_tfds

    return load_tfds(
        data,
        data_dir=data_dir,
        split=split,
        image_size=image_size,
        resample=resample,
        stretch=stretch,
        download=download,
        resident_bytes=resident_bytes,
    )


def split_names(
    data: str | Path, *, data_dir: str | Path | None = None, download: bool = False
) -> tuple[str, ...]:
    """The splits of a TFDS set, a file of encoded images, or text records; empty for other data.

    The arguments and errors are those of ``open_source``.
    """
    path, data, data_dir = Path(data), str(data), None if data_dir is None else Path(data_dir)
    if path.is_file() and path.suffix.lower() == ".npz":
        from jaxdc.data import files

        return files.split_names(path)
    if path.exists() and not holds_sounds(path) and holds_texts(path):
        from jaxdc.data import text

        return text.split_names(path)
    if path.exists() or data == "digits":
        return ()
    _check_name(data)
    from jaxdc.data.tfds import prepared

    return tuple(prepared(data, data_dir=data_dir, download=download)[0].info.splits)


def holds_sounds(path: Path) -> bool:
    """Whether this is a folder of recordings, which may contain a few notes.

    Raises:
      InputError: it contains images as well.
    """
    from jaxdc.data import image_files
    from jaxdc.data.folders import walk
    from jaxdc.data.sound.reading import is_recording

    if not path.is_dir():
        return False
    files = [each for each, kind in walk(path) if not kind]
    sound = next(filter(is_recording, files), None)
    picture = None if sound is None else next(filter(image_files.is_image, files), None)
    if sound is not None and picture is not None:
        raise InputError(
            f"{path} has both recordings, such as {sound.name}, and images, such as {picture.name}: put them into "
            "folders of their own"
        )
    return sound is not None


def holds_texts(path: Path, column: str | None = None) -> bool:
    """Whether a file, or a folder, that is there holds texts; ``column`` is that of a table which does."""
    from jaxdc.data import image_files, text
    from jaxdc.data.folders import walk

    if path.is_dir() and any(not kind and image_files.is_image(each) for each, kind in walk(path)):
        return False  # a folder of images may contain a few notes
    return text.holds_texts(path, column)


def _check_name(data: str) -> None:
    """Raises InputError for a missing file, or for a name that looks misspelt."""
    path = Path(data)
    if path.suffix.lower() in FILE_SUFFIXES or path.name != data:
        raise InputError(f"there is no file or folder {data}")
    if data not in NAMES:
        near = difflib.get_close_matches(data, NAMES, n=3, cutoff=0.6)
        if near:
            raise InputError(f"unknown data set {data!r}; did you mean {' or '.join(near)}?")


def digits() -> ArraySource:
    """scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels, in 10 classes."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    x = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return ArraySource(x, bunch.target, name="digits", protocol="all 1,797 samples")
