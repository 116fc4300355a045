"""Every file in experiments/: it says what it must, and its methods can be built and trained on such data."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.experiment import load_experiment
from jaxdc.methods.base import DataSpec
from jaxdc.train import steps
from jaxdc.train.checks import check_stage
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.py"))
SPECS = {
    "digits": DataSpec((8, 8, 1), 1797),
    "mnist": DataSpec((28, 28, 1), 70_000),
    "fashion_mnist": DataSpec((28, 28, 1), 70_000),
    "cifar10": DataSpec((32, 32, 3), 50_000),
    "cifar100_20": DataSpec((32, 32, 3), 50_000),
    "stl10": DataSpec((96, 96, 3), 13_000),
    "imagenet2012": DataSpec((256, 256, 3), 1_281_167),
}
EMBEDDED = {"stackoverflow": 20_000, "searchsnippets": 12_340}
VIEWS = {"cmsc_dcca_mfeat": (2000, (216, 240)), "cmsc_dcca_scene15": (4485, (20, 59))}
TEXTS = {"dec_r8": 7674, "dec_20newsgroups": 18_821, "dec_rcv1": 685_071}
CLASSES = {"cifar100_20": 20, "imagenet2012": 1000}


def spec_of(file, row):
    if file.name == "dec_stl10_hog":
        return DataSpec((1428,), 13_000)
    if file.name in TEXTS:
        return DataSpec((2000,), TEXTS[file.name], rms=2000**-0.5)
    if file.encoder is not None:
        return DataSpec((1280,), 60_000, rms=1280**-0.5)
    if file.vectors == "embedding":
        return DataSpec((384,), EMBEDDED[file.name.partition("_")[2]], rms=384**-0.5)
    if file.name in VIEWS:
        n_samples, widths = VIEWS[file.name]
        if row in file.row_views:
            widths = (widths[file.views.split(",").index(file.row_views[row])],)
        return DataSpec((sum(widths),), n_samples, widths=widths)
    if file.name == "temi_mfeat":
        return DataSpec((649,), 2000)
    if file.split == "all+unlabelled":
        return DataSpec((96, 96, 3), 113_000, n_reported=13_000)
    if file.split == "train+unlabelled":
        return DataSpec((96, 96, 3), 105_000, n_reported=5000)
    return SPECS.get(file.data) or DataSpec((file.image_size, file.image_size, 3), 13_000)


def narrow(method):
    """The same with a network that is traced in no time."""
    if not hasattr(method, "backbone"):
        return method
    backbone = dataclasses.replace(method.backbone, depth=10, width=4)
    return dataclasses.replace(method, backbone=backbone)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_says_what_it_must(path):
    file = load_experiment(path)
    about = path.read_text().split('"""')[1]
    assert f"jaxdc run experiments/{path.name}" in about
    assert len(set(file.seeds)) >= 2
    for method in file.rows.values():
        n_classes = CLASSES.get(file.data, 10)
        assert file.data is None or method.n_clusters in (n_classes, 2 * n_classes, 10 * n_classes)
    for figures in file.published.values():
        assert set(figures) <= {"acc", "nmi", "ari", "purity", "protocol"}
        assert all(0 < value < 1 for key, value in figures.items() if key != "protocol")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_stages_can_be_trained_on_such_data(path):
    file, mesh = load_experiment(path), sharding.make_mesh(jax.devices()[:1])
    for row, method in file.rows.items():
        spec = spec_of(file, row)
        for recipe in method.recipe_names:
            for stage in method.stages(recipe, spec):
                check_stage(stage, stage.part_of(spec), mesh)
        for stage in narrow(method).stages("fast", spec):
            part = stage.part_of(spec)
            if stage.n_steps(part.n_samples) == 0:
                continue
            tx = make_optimizer(stage, part.n_samples)
            graphdef, state = abstract_state(stage.method, tx, part, mesh)
            step = steps.make_streaming_step(stage.method, graphdef, tx, mesh, 1)
            draw = steps.make_draw(stage.method, mesh, part.n_samples)
            order = jax.eval_shape(draw, state.aux, jax.random.key(0), 0)
            rows = jax.ShapeDtypeStruct((stage.batch_size, *order.shape[1:]), np.int32)
            x = jax.ShapeDtypeStruct((*rows.shape, *part.shape), np.uint8 if len(part.shape) == 3 else np.float32)
            new, metrics = jax.eval_shape(step, state, x, rows)
            assert metrics["loss"].shape == ()
            assert jax.tree.map(np.shape, new.params) == jax.tree.map(np.shape, state.params)


def test_documents_of_one_root_category(tmp_path, monkeypatch):
    from scipy import sparse

    spec = importlib.util.spec_from_file_location("rcv1", FILES[0].with_name("dec_rcv1.py"))
    rcv1 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rcv1)
    names = ["CCAT", "C1", "ECAT", "GCAT", "MCAT"]
    target = sparse.csr_matrix(
        [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    )
    x = sparse.csr_matrix([[3, 4, 0, 0], [1, 1, 1, 1], [0, 2, 0, 1], [1, 1, 1, 1], [5, 0, 0, 0]], dtype=float)
    monkeypatch.setattr(rcv1, "N_TERMS", 2)
    source = rcv1.select(x, target, names, "all")
    assert source.labels.tolist() == [0, 3, 1]  # the second document has two roots, the fourth none
    np.testing.assert_allclose(source.array, [[0.6, 0.8], [0, 1], [1, 0]], rtol=1e-6)
    monkeypatch.setattr(rcv1, "N_SAMPLE", 2)
    assert rcv1.select(x, target, names, "10k").n_samples == 2
    with pytest.raises(InputError, match="10k or all"):
        load_experiment(FILES[0].with_name("dec_rcv1.py")).load(tmp_path, "train")


def colour_images(n=3):
    from jaxdc.data import ArraySource

    x = np.random.default_rng(0).integers(256, size=(n, 96, 96, 3), dtype=np.uint8)
    return ArraySource(x, np.arange(n), name="images", protocol="all")


def test_gradient_histograms_and_colours():
    pytest.importorskip("skimage", reason="the extra jaxdc[experiments] is not installed")
    images = colour_images()
    file = load_experiment(FILES[0].with_name("dec_stl10_hog.py"))
    source = file.prepare(images)
    assert source.array.shape == (3, 1428)
    assert source.array.dtype == np.float32
    assert source.protocol == "all, HOG and colour map"
    np.testing.assert_array_equal(source.labels, images.labels)
    # A grey image has no colour, and gradients across it lie in one orientation of each cell.
    from jaxdc.data import ArraySource

    ramp = np.broadcast_to(np.arange(0, 192, 2, np.uint8)[:, None, None], (96, 96, 3))
    made = file.prepare(ArraySource(ramp[None])).array[0]
    np.testing.assert_array_equal(made[1300:], 0.0)
    cells = (made[:1300] / 10 + 0.2).reshape(10, 10, 13)
    assert (np.isclose(cells[..., :9], 0.0, atol=1e-6).sum(axis=-1) == 8).all()
    # Four normalisations, each cut at 0.2.
    np.testing.assert_allclose(cells[..., :9].max(axis=-1), 0.4, rtol=1e-5)
    with pytest.raises(InputError, match="of colour images"):
        file.prepare(ArraySource(ramp[None, ..., :1]))


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(InputError, match=r"jaxdc\[experiments\]"):
        load_experiment(FILES[0].with_name("dec_stl10_hog.py")).prepare(colour_images())
