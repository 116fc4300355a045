"""Experiment files: what they may say, what the command may say instead, and the table."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxdc.cli import main
from jaxdc.cli.options import RunOptions
from jaxdc.cli.run import _train_options
from jaxdc.data import open_source
from jaxdc.experiment import Published, Row, load_tables, mean_and_std, results_table
from jaxdc.methods import autoencoder, dec
from jaxdc.methods.base import Schedule
from jaxdc.runs import load

pytestmark = pytest.mark.usefixtures("one_device_alone")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    means = rng.normal(size=(3, 4)) * 10
    y = rng.integers(3, size=60)
    np.savez("blobs.npz", x=means[y] + rng.normal(size=(60, 4)), y=y)
    return tmp_path


HEAD = """
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import AE, DEC, KMeans, SimCLR
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone
BLOBS = DataSet(n_classes=3, data="blobs.npz")
ONE = Row(KMeans(n_clusters=3))
"""


def write(path, *lines):
    path.write_text("\n".join(['"""A table."""', HEAD, *lines, ""]))
    return str(path)


def table_of(capsys):
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.full
def test_the_protocol_and_the_published_figures_are_in_the_table(here, capsys):
    path = write(
        here / "row.py",
        "THEIRS = Published(acc=0.79, source='A paper, 2020', protocol='scored on test')",
        "TABLES = {'blobs': Table(data=BLOBS, rows={'k-means': Row(KMeans(n_clusters=3), THEIRS)}, seeds=(0, 1))}",
    )
    main(["run", path])
    out = table_of(capsys)
    for text in ("all samples; trained on them without labels and scored on them;", "seeds 0, 1", "±", "0.7900"):
        assert text in out
    assert "row on blobs, recipe fast" in out
    assert "k-means, published (A paper, 2020; scored on test)" in out


def test_other_settings_need_another_place_or_fresh(here, capsys):
    path = write(here / "one.py", "TABLES = {'blobs': Table(data=BLOBS, rows={'k-means': ONE}, seeds=(0,))}")
    main(["run", path])
    with pytest.raises(SystemExit) as error:
        main(["run", path, "--set", "n_init=2"])
    assert error.value.code == 2
    assert "n_init is" in capsys.readouterr().err
    main(["run", path, "--set", "n_init=2", "--fresh"])
    (run,) = (here / "runs").iterdir()
    assert '"n_init": 2' in (run / "config.json").read_text()


@pytest.mark.full
def test_several_rows_of_data_that_the_caller_names(here, capsys):
    path = write(
        here / "ablation.py",
        "ROWS = {",
        "    'many starts': ONE,",
        "    'one start': Row(KMeans(n_clusters=3, n_init=1), Published(acc=0.5, source='A paper')),",
        "}",
        "TABLES = {'given': Table(data=DataSet(n_classes=3), rows=ROWS, seeds=(4,))}",
    )
    main(["run", path, "--data", "blobs.npz"])
    out = table_of(capsys)
    for text in ("many starts, measured", "one start, measured", "one start, published"):
        assert text in out
    assert "many starts, published" not in out
    assert {folder.name for folder in (here / "runs").iterdir()} == {
        "ablation_given-many-starts-fast-4",
        "ablation_given-one-start-fast-4",
    }
    main(["run", path, "--data", "blobs.npz", "--rows", "one start", "--seeds", "5", "--workdir", "others"])
    assert {folder.name for folder in (here / "others").iterdir()} == {"ablation_given-one-start-fast-5"}


@pytest.mark.full
def test_a_file_over_several_data_sets_runs_the_one_that_is_chosen(here, capsys):
    rng = np.random.default_rng(1)
    np.savez("others.npz", x=rng.normal(size=(40, 5)), y=np.arange(40) % 2)
    path = write(
        here / "two.py",
        "OTHERS = DataSet(n_classes=2, data='others.npz')",
        "TABLES = {",
        "    'blobs': Table(data=BLOBS, rows={'k-means': ONE}, seeds=(0,)),",
        "    'others': Table(data=OTHERS, rows={'k-means': Row(KMeans(n_clusters=2))}, seeds=(0,)),",
        "}",
    )
    main(["run", path, "--on", "others", "--output", "others.json"])
    captured = capsys.readouterr()
    assert "40 samples of 5" in captured.err and "60 samples" not in captured.err
    assert [folder.name for folder in (here / "runs").iterdir()] == ["two_others-k-means-fast-0"]
    written = json.loads((here / "others.json").read_text())
    assert (written["experiment"], written["on"]) == ("two", "others")
    # What --data names is another place of the chosen set's samples, and its rows are run.
    main(["run", path, "--on", "others", "--data", "blobs.npz", "--workdir", "elsewhere"])
    run = here / "elsewhere" / "two_others-k-means-fast-0" / "metrics.json"
    assert json.loads(run.read_text())["n_clusters"] == 2


def test_a_file_finds_what_lies_beside_it(here, capsys):
    # Two folders with a file of the same name each, and one in the way of an installed package.
    for folder, k in (("first", 3), ("second", 4)):
        (here / folder).mkdir()
        write(here / folder / "datasets.py", f"K = {k}")
        lines = ("from .datasets import BLOBS, K", "ROWS = {'k-means': Row(KMeans(n_clusters=K))}")
        write(here / folder / "shared.py", *lines, "TABLES = {'blobs': Table(data=BLOBS, rows=ROWS, seeds=(0,))}")
    for folder, k in (("first", 3), ("second", 4)):
        tables = load_tables(here / folder / "shared.py")
        assert tables["blobs"].rows["k-means"].method.n_clusters == k
    assert "datasets" not in sys.modules
    main(["run", str(here / "second" / "shared.py")])
    assert "k-means, measured" in table_of(capsys)


def test_features_are_made_of_what_was_opened(here, capsys):
    path = write(
        here / "features.py",
        "from jaxdc.data import ArraySource",
        "def halves(source):",
        "    return ArraySource(source.array[:, :2], source.labels, name='halves', protocol='two columns')",
        "DATA = DataSet(n_classes=3, data='blobs.npz', prepare=halves)",
        "TABLES = {'blobs': Table(data=DATA, rows={'k-means': ONE}, seeds=(0,))}",
    )
    main(["run", path])
    captured = capsys.readouterr()
    assert "60 samples of 2" in captured.err
    assert "halves" in captured.out


def test_data_that_the_file_opens_itself(here, capsys):
    path = write(
        here / "opens.py",
        "from jaxdc.data import open_source",
        "def load(data_dir, split):",
        "    return open_source(str(data_dir / f'{split}.npz'))",
        "DATA = DataSet(n_classes=3, load=load)",
        "TABLES = {'it': Table(data=DATA, rows={'k-means': ONE}, seeds=(0,), split='blobs')}",
    )
    main(["run", path, "--data-dir", str(here)])
    assert "60 samples of 4" in capsys.readouterr().err


@pytest.mark.full
def test_a_row_names_its_recipe_and_its_schedule(here, capsys):
    path = write(
        here / "rows.py",
        "METHOD = SimCLR(n_clusters=3, backbone=Backbone(depth=10, width=4))",
        "ROWS = {",
        "    'first': Row(METHOD, recipes={'paper': 'pretext'}),",
        "    'second': Row(METHOD, schedule=Schedule(epochs=2, batch_size=16)),",
        "}",
        "TABLES = {'images': Table(data=DataSet(n_classes=3), rows=ROWS, seeds=(0,))}",
    )
    rows = load_tables(here / path)["images"].rows.values()
    assert [row.recipe("paper") for row in rows] == ["pretext", "paper"]
    assert [row.recipe("fast") for row in rows] == ["fast", "fast"]
    rng = np.random.default_rng(0)
    np.savez("images.npz", x=rng.integers(0, 255, (32, 8, 8, 3), np.uint8), y=np.arange(32) % 3)
    tiny = ["--data", "images.npz", "--recipe", "paper", "--set", "backbone.width=2", "--output", "out/rows.json"]
    main(["run", path, *tiny, "--rows", "second"])
    folder = here / "runs" / "rows_images-second-paper-0"
    stage = json.loads((folder / "config.json").read_text())["run"]["stages"][0]
    assert (stage["epochs"], stage["batch_size"], stage["method"]["backbone"]["width"]) == (2, 16, 2)
    assert stage["optimizer"]["name"] == "lars"
    assert "recipe paper with backbone.width=2" in table_of(capsys)
    written = json.loads((here / "out" / "rows.json").read_text())
    assert written["settings"] == ["backbone.width=2"]
    assert list(written["rows"]) == ["second"]
    (run,) = written["rows"]["second"]["runs"]
    assert run["recipe"] == "paper" and 0 < run["acc"] <= 1
    main(["run", path, *tiny[:-2], "--rows", "first", "--epochs", "1", "--batch-size", "8", "--workdir", "others"])
    folder = here / "others" / "rows_images-first-pretext-0"
    stage = json.loads((folder / "config.json").read_text())["run"]["stages"][0]
    assert (stage["epochs"], stage["batch_size"], stage["optimizer"]["name"]) == (1, 8, "sgd")


def test_the_command_overrides_the_lengths_of_a_row():
    row = Row(dec.DEC(n_clusters=3), schedule=Schedule(epochs=2, pretrain_epochs=3, batch_size=16))
    asked = RunOptions(file=Path("rows.py"), pretrain_epochs=1, batch_size=8)
    made = _train_options(row, asked, data="blobs", recipe="fast", seed=0, init_from=None)
    assert (made.epochs, made.pretrain_epochs, made.batch_size) == (2, 1, 8)


TABLE = "TABLES = {'blobs': Table(data=DataSet(n_classes=3), rows={'a': ONE})}"
TWO = "TABLES = dict.fromkeys(('first', 'second'), Table(data=BLOBS, rows={'a': ONE}))"


@pytest.mark.parametrize(
    ("lines", "arguments", "word"),
    [
        ((), (), "row.py is no experiment: it must set TABLES, a Table for each data set by name"),
        (("TABLES = {}",), (), "it must set TABLES"),
        (("TABLES = {'a': ONE}",), (), "it must set TABLES"),
        ((TABLE,), (), "row.py on blobs does not define its data: pass them with --data"),
        (
            ("TABLES = {'a': Table(data=DataSet(n_classes=3, about='a folder of dogs'), rows={'a': ONE})}",),
            (),
            "row.py on a does not define its data: pass them with --data, a folder of dogs",
        ),
        ((TWO,), (), "row.py has tables on several data sets; choose one with --on: first, second"),
        ((TWO,), ("--data", "blobs.npz"), "choose one with --on: first, second"),
        ((TWO,), ("--on", "third"), "row.py has no table on 'third'; it has first, second"),
        ((TABLE,), ("--on", "third"), "row.py has no table on 'third'; it has blobs"),
        ((TABLE,), ("--rows", "b"), "row.py has no row 'b' on blobs; it has 'a'"),
        (
            ("TABLES = {'blobs': Table(data=BLOBS, rows={'a': Row(ONE.method, init_from='a')})}",),
            (),
            "row.py: the row 'a' begins with 'a', which is no row before it",
        ),
        (
            ("TABLES = {'blobs': Table(data=BLOBS, rows={'a': ONE.method})}",),
            (),
            "row.py: the row 'a' must be a Row, such as Row(DEC(n_clusters=10)), not KMeans(",
        ),
        ((TABLE,), ("--set", "n_init"), "a setting is NAME=VALUE"),
        ((TABLE,), ("--set", "depth=10"), "depth=10 names 'depth' of KMeans, which has n_clusters, n_init"),
        ((TABLE,), ("--set", "n_init.depth=10"), "names 'depth' of int, which is a single value"),
        ((TABLE,), ("--set", "n_clusters=1"), "n_clusters must be at least 2"),
    ],
)
def test_what_is_missing_is_told(here, capsys, lines, arguments, word):
    with pytest.raises(SystemExit) as exit_:
        main(["run", write(here / "row.py", *lines), *arguments])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert word in error
    assert len(error.strip().splitlines()) == 1
    assert not (here / "runs").exists()


@pytest.mark.full
def test_a_row_begins_with_the_run_of_another_and_is_scored_on_what_was_not_trained_on(here, capsys, monkeypatch):
    for module in (autoencoder, dec):
        monkeypatch.setattr(module, "fast_steps", lambda spec, **wishes: 60)
    lines = (
        "SMALL = {'n_clusters': 10, 'hidden': (16,), 'latent': 4}",
        "ROWS = {'pretext': Row(AE(**SMALL, n_init=1)), 'DEC': Row(DEC(**SMALL), init_from='pretext')}",
        "DATA = DataSet(n_classes=10, data='digits.npz')",
        "TABLES = {'d': Table(data=DATA, rows=ROWS, seeds=(0,), split='train', test_split='test')}",
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
    run = here / "runs" / "chain_d-DEC-fast-0"
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
    published = {"over": Published(purity=0.8, source="A paper")}
    table = results_table("", {"over": [{**run, "n_clusters": 20}]}, published)
    assert [column.header for column in table.columns] == ["", "ACC", "NMI", "ARI", "PURITY", "seconds"]
    assert list(table.columns[4].cells) == ["0.7500", "0.8000"]
    assert len(results_table("", {"a": [{**run, "n_clusters": 10}]}, {}).columns) == 5


def test_other_groupings_have_a_column():
    run = {"acc": 0.5, "nmi": 0.25, "ari": 0.125, "seconds": 2.0, "n_clusters": 3, "n_classes": 3}
    runs = [{**run, "nmi_speaker": 0.7, "alternatives": {"k-means": {"acc": 0.4, "nmi": 0.2, "ari": 0.1}}}]
    table = results_table("", {"a": runs}, {"a": Published(acc=0.6, source="A paper")})
    assert [column.header for column in table.columns][-2:] == ["NMI with speaker", "seconds"]
    assert list(table.columns[4].cells) == ["0.7000", "-", "-"]


def test_a_figure_that_is_not_published_is_a_dash():
    runs = [{"acc": 0.5, "nmi": 0.25, "ari": 0.125, "seconds": 2.0, "n_clusters": 3, "n_classes": 3}]
    table = results_table("", {"a": runs}, {"a": Published(acc=0.6, source="A paper")})
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["a, measured", "a, published (A paper)"]
    assert columns[1:4] == [["0.5000", "0.6000"], ["0.2500", "-"], ["0.1250", "-"]]


def test_mean_and_deviation_over_seeds():
    assert mean_and_std([0.8, 0.9]) == "0.8500 ± 0.0707"  # of a sample: over n - 1
    assert mean_and_std([0.8]) == "0.8000"
