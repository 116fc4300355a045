"""Every table in experiments/: it says what it must, can be trained on such data, and its results are of it."""

import dataclasses
import functools
import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.experiment import load_tables
from jaxdc.methods.base import DataSpec, Graph
from jaxdc.train import steps
from jaxdc.train.checks import check_stage
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem != "datasets"}
TABLES = {(stem, on): table for stem, path in FILES.items() for on, table in load_tables(path).items()}
BY_DEFAULT = [each if each == ("dec", "mnist") else pytest.param(*each, marks=pytest.mark.full) for each in TABLES]
PHOTOGRAPHS = {
    "cifar10": DataSpec((32, 32, 3), 50_000),
    "cifar100_20": DataSpec((32, 32, 3), 50_000),
    "stl10": DataSpec((96, 96, 3), 13_000),
    "imagenet": DataSpec((256, 256, 3), 1_281_167),
}
SPECS = {
    "digits": DataSpec((8, 8, 1), 1797),
    "mnist": DataSpec((28, 28, 1), 70_000),
    "mnist_test": DataSpec((16, 16, 1), 10_000),
    "fashion_mnist": DataSpec((28, 28, 1), 70_000),
    **PHOTOGRAPHS,
    "cifar10_heads": PHOTOGRAPHS["cifar10"],
    "cifar10_views": PHOTOGRAPHS["cifar10"],
    "stl10_hog": DataSpec((1428,), 13_000),
    "r8": DataSpec((2000,), 7674, rms=2000**-0.5),
    "20newsgroups": DataSpec((2000,), 18_821, rms=2000**-0.5),
    "fsdd": DataSpec((40, 32, 1), 3000),
    "cora": DataSpec((1433,), 2708, graph=Graph(2708, np.arange(2 * 5278).reshape(-1, 2) % 2708)),
    "rcv1": DataSpec((2000,), 685_071, rms=2000**-0.5),
    "stackoverflow": DataSpec((384,), 20_000, rms=384**-0.5),
    "searchsnippets": DataSpec((384,), 12_340, rms=384**-0.5),
}
MESH = sharding.make_mesh(jax.devices()[:1])
MFEAT = {"fou": 76, "fac": 216, "kar": 64, "zer": 47, "mor": 6, "pix": 240}
VIEWS = {
    "mfeat": (2000, MFEAT),
    "mfeat_fou_kar": (2000, MFEAT),
    "scene15": (4485, {"X0": 20, "X1": 59}),
    "fashion_mnist": (2000, {"pixels": 784, "hog": 144}),
    "20newsgroups": (2000, {"minilm": 384, "tfidf": 100}),
    "stackoverflow": (20_000, {"minilm": 384, "tfidf": 100}),
    "cifar10": (60_000, {"lite0": 1280, "ours": 512}),
}


def spec_of(stem, on, row):
    """What the samples are, as far as a method is concerned."""
    table = TABLES[stem, on]
    if table.data.encoder is not None:
        return DataSpec((1280,), 60_000, rms=1280**-0.5)
    if on in VIEWS and stem in ("cmsc_dcca", "turtle"):
        n_samples, columns = VIEWS[on]
        widths = tuple(columns[view] for view in (row.views or table.views).split(","))
        return DataSpec((sum(widths),), n_samples, widths=widths)
    if on == "mfeat":
        return DataSpec((649,), 2000)
    if table.split.endswith("+unlabelled"):
        n_reported = {"all": 13_000, "train": 5000}[table.split.partition("+")[0]]
        return DataSpec((96, 96, 3), 100_000 + n_reported, n_reported=n_reported)
    return SPECS[on] if on in SPECS else DataSpec((table.data.image_size, table.data.image_size, 3), 13_000)


def narrow(method):
    """The same with a network that is traced in no time."""
    if not hasattr(method, "backbone"):
        return method
    backbone = dataclasses.replace(method.backbone, depth=10, width=4)
    return dataclasses.replace(method, backbone=backbone)


@functools.cache
def trace(stage, part):
    """The shapes of a step's loss, and of the parameters before and after it; tables share many a stage."""
    tx = make_optimizer(stage, part.n_samples)
    graphdef, state = abstract_state(stage.method, tx, part, MESH)
    step = steps.make_streaming_step(stage.method, graphdef, tx, MESH, 1)
    draw = steps.make_draw(stage.method, MESH, part.n_samples)
    order = jax.eval_shape(draw, state.aux, jax.random.key(0), 0)
    n_rows = part.n_samples if stage.method.full_batch else stage.batch_size
    rows = jax.ShapeDtypeStruct((n_rows, *order.shape[1:]), np.int32)
    x = jax.ShapeDtypeStruct((*rows.shape, *part.shape), np.uint8 if len(part.shape) == 3 else np.float32)
    new, metrics = jax.eval_shape(step, state, x, rows)
    return metrics["loss"].shape, jax.tree.map(np.shape, state.params), jax.tree.map(np.shape, new.params)


@pytest.mark.parametrize("stem", FILES)
def test_a_file_says_how_it_is_run(stem):
    about = FILES[stem].read_text().split('"""')[1]
    assert f"jaxdc run experiments/{stem}.py" in about
    named = set(re.findall(r"--on (\w+)", about))
    tables = load_tables(FILES[stem])
    assert named <= set(tables)
    assert named or len(tables) == 1


@pytest.mark.parametrize(("stem", "on"), TABLES)
def test_a_table_says_what_it_must(stem, on):
    table = TABLES[stem, on]
    k = table.data.n_classes
    assert len(set(table.seeds)) >= 2
    assert table.data.data or table.data.load or table.data.about
    for row in table.rows.values():
        assert row.method.finds_n_clusters or row.method.n_clusters in (k, 2 * k, 10 * k)
        assert {table.recipe, *row.recipes.values()} <= set(row.method.recipe_names)
        if row.published is not None:
            scores = row.published.scores()
            assert row.published.source and scores
            assert all(0 < score < 1 for score in scores.values())


@pytest.mark.parametrize(("stem", "on"), BY_DEFAULT)
def test_its_stages_can_be_trained_on_such_data(stem, on):
    for row in TABLES[stem, on].rows.values():
        spec = spec_of(stem, on, row)
        for recipe in row.method.recipe_names:
            for stage in row.method.stages(recipe, spec):
                check_stage(stage, stage.part_of(spec), MESH)
        for stage in narrow(row.method).stages("fast", spec):
            if stage.n_steps(stage.part_of(spec).n_samples) > 0:
                loss, before, after = trace(stage, stage.part_of(spec))
                assert loss == ()
                assert before == after


def test_its_files_are_imported_as_those_of_any_package():
    """``from .datasets import ...`` is Python's own: an editor and a type checker find it too."""
    code = "import experiments.scan as scan; print(*scan.TABLES)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == list(load_tables(FILES["scan"]))


def values_of(flag, command):
    """What a command gives a flag."""
    words = shlex.split(command)
    after = words[words.index(flag) + 1 :] if flag in words else []
    return list(itertools.takewhile(lambda word: not word.startswith("--"), after))


@pytest.mark.parametrize("path", sorted((FOLDER / "results").glob("*.json")), ids=lambda path: path.stem)
def test_results_are_of_rows_that_there_are(path):
    content = json.loads(path.read_text())
    if "experiment" in content:
        assert content["experiment"] == f"experiments/{path.stem}.py"
    of_file = {on: table for (stem, on), table in TABLES.items() if stem == path.stem}
    names = [entry["id"] for entry in (*content.get("measurements", ()), *content.get("tables", ()))]
    assert len(set(names)) == len(names) > 0
    for one in content.get("measurements", ()):
        assert {"protocol", "recorded"} <= set(one)
        if "setting" not in one:
            assert {"data", "command", "recipe", "seeds", "hardware"} <= set(one)
            if of_file and "on" in one:  # else a command of its own
                assert set(one["rows"]) <= set(of_file[one["on"]].rows)
        if of_file and "on" in one and one.get("command", "").startswith("jaxdc run"):
            named = values_of("--seeds", one["command"])
            assert one["seeds"] == ([int(seed) for seed in named] or list(of_file[one["on"]].seeds))
        for row in one["rows"].values():
            for score in (row[name] for name in ("acc", "nmi", "ari") if name in row):
                assert 0 <= score["mean"] <= 1
                if "runs" in score:
                    assert len(score["runs"]) == len(one["seeds"])
                    assert np.mean(score["runs"]) == pytest.approx(score["mean"], abs=1.1e-4)
                    assert np.std(score["runs"], ddof=1) == pytest.approx(score["std"], abs=1.1e-4)


def datasets():
    """The module that the files of the folder share."""
    return sys.modules[TABLES["dec", "rcv1"].data.load.__module__]


def test_documents_of_one_root_category(tmp_path, monkeypatch):
    from scipy import sparse

    rcv1 = datasets()
    names = ["CCAT", "C1", "ECAT", "GCAT", "MCAT"]
    target = sparse.csr_matrix(
        [[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]
    )
    x = sparse.csr_matrix([[3, 4, 0, 0], [1, 1, 1, 1], [0, 2, 0, 1], [1, 1, 1, 1], [5, 0, 0, 0]], dtype=float)
    monkeypatch.setattr(rcv1, "N_TERMS", 2)
    source = rcv1.select_rcv1(x, target, names, "all")
    assert source.labels.tolist() == [0, 3, 1]  # the second document has two roots, the fourth none
    np.testing.assert_allclose(source.array, [[0.6, 0.8], [0, 1], [1, 0]], rtol=1e-6)
    monkeypatch.setattr(rcv1, "N_SAMPLE", 2)
    assert rcv1.select_rcv1(x, target, names, "10k").n_samples == 2
    with pytest.raises(InputError, match="10k or all"):
        rcv1.load_rcv1(tmp_path, "train")


def colour_images(n=3):
    from jaxdc.data import ArraySource

    x = np.random.default_rng(0).integers(256, size=(n, 96, 96, 3), dtype=np.uint8)
    return ArraySource(x, np.arange(n), name="images", protocol="all")


def test_gradient_histograms_and_colours():
    pytest.importorskip("skimage", reason="the extra jaxdc[experiments] is not installed")
    images = colour_images()
    prepare = TABLES["dec", "stl10_hog"].data.prepared
    source = prepare(images)
    assert source.array.shape == (3, 1428)
    assert source.array.dtype == np.float32
    assert source.protocol == "all, HOG and colour map"
    np.testing.assert_array_equal(source.labels, images.labels)
    # A grey image has no colour, and gradients across it lie in one orientation of each cell.
    from jaxdc.data import ArraySource

    ramp = np.broadcast_to(np.arange(0, 192, 2, np.uint8)[:, None, None], (96, 96, 3))
    made = prepare(ArraySource(ramp[None])).array[0]
    np.testing.assert_array_equal(made[1300:], 0.0)
    cells = (made[:1300] / 10 + 0.2).reshape(10, 10, 13)
    assert (np.isclose(cells[..., :9], 0.0, atol=1e-6).sum(axis=-1) == 8).all()
    # Four normalisations, each cut at 0.2.
    np.testing.assert_allclose(cells[..., :9].max(axis=-1), 0.4, rtol=1e-5)
    with pytest.raises(InputError, match="of colour images"):
        prepare(ArraySource(ramp[None, ..., :1]))


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(InputError, match=r"jaxdc\[experiments\]"):
        TABLES["dec", "stl10_hog"].data.prepared(colour_images())
