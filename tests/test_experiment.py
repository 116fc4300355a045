"""Experiment files: what they may say, what the command may say instead, and the table."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxdc.cli import main
from jaxdc.data import open_source
from jaxdc.experiment import load_experiment, mean_and_std, results_table
from jaxdc.methods import autoencoder, dec
from jaxdc.runs import load


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    means = rng.normal(size=(3, 4)) * 10
    y = rng.integers(3, size=60)
    np.savez("blobs.npz", x=means[y] + rng.normal(size=(60, 4)), y=y)
    return tmp_path


def write(path, *lines):
    path.write_text("\n".join(['"""A row."""', "from jaxdc.methods import KMeans", *lines, ""]))
    return str(path)


def table_of(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_the_protocol_and_the_published_figures_are_in_the_table(here, capsys):
    main(
        [
            "run",
            write(
                here / "row.py",
                "METHOD, DATA, SEEDS = KMeans(n_clusters=3), 'blobs.npz', (0, 1)",
                "PUBLISHED = {'acc': 0.79, 'protocol': 'scored on test'}",
            ),
        ]
    )
    out = table_of(capsys)
    for text in ("all samples; trained on them without labels and scored on them;", "seeds 0, 1", "±", "0.7900"):
        assert text in out
    assert "published (scored on test)" in out


def test_several_rows_of_data_that_the_caller_names(here, capsys):
    path = write(
        here / "ablation.py",
        "ROWS = {'many starts': KMeans(n_clusters=3), 'one start': KMeans(n_clusters=3, n_init=1)}",
        "SEEDS, PUBLISHED = (4,), {'one start': {'acc': 0.5}}",
    )
    main(["run", path, "--data", "blobs.npz"])
    out = table_of(capsys)
    for text in ("many starts, measured", "one start, measured", "one start, published"):
        assert text in out
    assert "many starts, published" not in out
    assert {folder.name for folder in (here / "runs").iterdir()} == {
        "ablation-many-starts-fast-4",
        "ablation-one-start-fast-4",
    }
    main(["run", path, "--data", "blobs.npz", "--rows", "one start", "--seeds", "5", "--workdir", "others"])
    assert {folder.name for folder in (here / "others").iterdir()} == {"ablation-one-start-fast-5"}


def test_features_are_made_of_what_was_opened(here, capsys):
    path = write(
        here / "features.py",
        "from jaxdc.data import ArraySource",
        "METHOD, DATA, SEEDS = KMeans(n_clusters=3), 'blobs.npz', (0,)",
        "def prepare(source):",
        "    return ArraySource(source.array[:, :2], source.labels, name='halves', protocol='two columns')",
    )
    main(["run", path])
    captured = capsys.readouterr()
    assert "60 samples of 2" in captured.err
    assert "halves" in captured.out


def test_a_row_names_its_recipe_and_its_schedule(here, capsys):
    path = write(
        here / "rows.py",
        "from jaxdc.methods import AE, DEC, SimCLR",
        "from jaxdc.nn import Backbone",
        "from jaxdc.methods.base import Schedule",
        "SHARED = dict(n_clusters=3, backbone=Backbone(depth=10, width=4))",
        "ROWS = {'first': SimCLR(**SHARED), 'second': SimCLR(**SHARED)}",
        "RECIPES = {'first': {'paper': 'pretext'}}",
        "SCHEDULES = {'second': Schedule(epochs=2, batch_size=16)}",
        "SEEDS = (0,)",
    )
    file = load_experiment(here / path)
    assert [file.recipe_of(row, "paper") for row in file.rows] == ["pretext", "paper"]
    assert [file.recipe_of(row, "fast") for row in file.rows] == ["fast", "fast"]
    assert [file.run_name(row, "paper", 0) for row in file.rows] == ["rows-first-pretext-0", "rows-second-paper-0"]
    rng = np.random.default_rng(0)
    np.savez("images.npz", x=rng.integers(0, 255, (32, 8, 8, 3), np.uint8), y=np.arange(32) % 3)
    tiny = ["--data", "images.npz", "--recipe", "paper", "--set", "backbone.width=2", "--output", "out/rows.json"]
    main(["run", path, *tiny, "--rows", "second"])
    stage = json.loads((here / "runs" / "rows-second-paper-0" / "config.json").read_text())["run"]["stages"][0]
    assert (stage["epochs"], stage["batch_size"], stage["method"]["backbone"]["width"]) == (2, 16, 2)
    assert stage["optimizer"]["name"] == "lars"
    assert "recipe paper with backbone.width=2" in table_of(capsys)
    written = json.loads((here / "out" / "rows.json").read_text())
    assert written["settings"] == ["backbone.width=2"]
    assert list(written["rows"]) == ["second"]
    (run,) = written["rows"]["second"]["runs"]
    assert run["recipe"] == "paper" and 0 < run["acc"] <= 1
    main(["run", path, *tiny[:-2], "--rows", "first", "--epochs", "1", "--batch-size", "8", "--workdir", "others"])
    stage = json.loads((here / "others" / "rows-first-pretext-0" / "config.json").read_text())["run"]["stages"][0]
    assert (stage["epochs"], stage["batch_size"], stage["optimizer"]["name"]) == (1, 8, "sgd")


def test_split_and_size_come_from_the_experiment_or_the_caller(here):
    lines = ("METHOD, SEEDS = KMeans(n_clusters=3), (0,)", "SPLIT, IMAGE_SIZE = 'train', 96")
    file = load_experiment(here / write(here / "images.py", *lines))
    assert (file.data, file.split, file.image_size, file.recipe) == (None, "train", 96, "fast")


@pytest.mark.parametrize(
    ("lines", "arguments", "word"),
    [
        (("SEEDS = (0,)",), (), "must set METHOD, or ROWS"),
        (("METHOD = KMeans(n_clusters=3)",), (), "does not set SEEDS"),
        (("METHOD, SEEDS = KMeans(n_clusters=3), (0,)",), (), "pass them with --data"),
        (("ROWS, SEEDS = {'a': KMeans(n_clusters=3)}, (0,)",), ("--rows", "b"), "has no row 'b'; it has 'a'"),
        (
            ("ROWS, SEEDS = {'a': KMeans(n_clusters=3)}, (0,)", "PUBLISHED = {'b': {}}"),
            (),
            "names b, which is no row",
        ),
        (
            ("ROWS, SEEDS = {'a': KMeans(n_clusters=3)}, (0,)", "INIT_FROM = {'a': 'a'}"),
            (),
            "lets 'a' begin with 'a', which is no row before it",
        ),
        (
            ("ROWS, SEEDS = {'a': KMeans(n_clusters=3)}, (0,)", "RECIPES = {'b': {}}"),
            (),
            "row.py names b, which is no row",
        ),
        (
            ("from jaxdc.augment import Weak as VIEWS", "METHOD, SEEDS = KMeans(n_clusters=3), (0,)"),
            (),
            "row.py must be like 'fac,pix', but is <class",
        ),
        (("METHOD, SEEDS = KMeans(n_clusters=3), (0,)",), ("--set", "n_init"), "a setting is NAME=VALUE"),
        (
            ("METHOD, SEEDS = KMeans(n_clusters=3), (0,)",),
            ("--set", "depth=10"),
            "depth=10 names 'depth' of KMeans, which has n_clusters, n_init",
        ),
        (
            ("METHOD, SEEDS = KMeans(n_clusters=3), (0,)",),
            ("--set", "n_init.depth=10"),
            "names 'depth' of int, which is a single value",
        ),
        (
            ("METHOD, SEEDS = KMeans(n_clusters=3), (0,)",),
            ("--set", "n_clusters=1"),
            "n_clusters must be at least 2",
        ),
    ],
)
def test_what_is_missing_is_told(here, capsys, lines, arguments, word):
    with pytest.raises(SystemExit) as exit_:
        main(["run", write(here / "row.py", *lines), *arguments])
    assert exit_.value.code == 2
    assert word in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_a_row_begins_with_the_run_of_another_and_is_scored_on_what_was_not_trained_on(here, capsys, monkeypatch):
    for module in (autoencoder, dec):
        monkeypatch.setattr(module, "fast_steps", lambda spec, **wishes: 60)
    lines = (
        "from jaxdc.methods import AE, DEC",
        "SMALL = {'n_clusters': 10, 'hidden': (16,), 'latent': 4}",
        "ROWS = {'pretext': AE(**SMALL, n_init=1), 'DEC': DEC(**SMALL)}",
        "DATA, SEEDS, INIT_FROM = 'digits.npz', (0,), {'DEC': 'pretext'}",
        "SPLIT, TEST_SPLIT = 'train', 'test'",
    )
    x, y = load_digits(return_X_y=True)
    images = [png(row.reshape(8, 8)) for row in x[:400]]
    parts = {"train": (images[:300], y[:300]), "test": (images[300:], y[300:400])}
    arrays = {}
    for name, (files, labels) in parts.items():
        arrays |= {f"{name}_jpeg": np.frombuffer(b"".join(files), np.uint8), f"{name}_label": labels}
        arrays[f"{name}_offset"] = np.cumsum([0, *map(len, files)])
    np.savez("digits.npz", **arrays)
    path = write(here / "chain.py", *lines)
    with pytest.raises(SystemExit):
        main(["run", path, "--rows", "DEC"])
    assert "row 'DEC' starts from row 'pretext', which is not in" in capsys.readouterr().err
    main(["run", path])
    table = table_of(capsys)
    assert "scored on test" in table
    run = here / "runs" / "chain-DEC-fast-0"
    stages = json.loads((run / "config.json").read_text())["run"]["stages"]
    assert [stage["method"]["method"] for stage in stages] == ["dec"]
    result = load(run)
    expected = result.score(open_source("digits.npz", split="test"))
    assert f"{expected['acc']:.4f}" in table
    assert expected["n_samples"] == 100
    assert result.metrics["n_samples"] == 300


def png(image):
    file = io.BytesIO()
    Image.fromarray((image * 15).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_more_clusters_than_classes_are_scored_many_to_one():
    run = {"acc": 0.5, "nmi": 0.25, "ari": 0.125, "purity": 0.75, "seconds": 2.0, "n_classes": 10}
    published = {"over": {"purity": 0.8}}
    table = results_table("", {"over": [{**run, "n_clusters": 20}]}, published)
    assert [column.header for column in table.columns] == ["", "ACC", "NMI", "ARI", "PURITY", "seconds"]
    assert list(table.columns[4].cells) == ["0.7500", "0.8000"]
    assert len(results_table("", {"": [{**run, "n_clusters": 10}]}, {}).columns) == 5


def test_a_figure_that_is_not_published_is_a_dash():
    runs = [{"acc": 0.5, "nmi": 0.25, "ari": 0.125, "seconds": 2.0, "n_clusters": 3, "n_classes": 3}]
    table = results_table("", {"": runs}, {"": {"acc": 0.6}})
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["measured", "published"]
    assert columns[1:4] == [["0.5000", "0.6000"], ["0.2500", "-"], ["0.1250", "-"]]


def test_mean_and_deviation_over_seeds():
    assert mean_and_std([0.8, 0.9]) == "0.8500 ± 0.0707"  # of a sample: over n - 1
    assert mean_and_std([0.8]) == "0.8000"
