"""``jaxdc train --config`` and ``--seeds``, as a person uses them and gets them wrong."""

import json

import numpy as np
import pytest
import tyro

from jaxdc import cli, methods
from jaxdc.cli.config_file import arguments_of, recorded
from jaxdc.cli.method_options import with_hyper_parameters
from jaxdc.cli.options import TrainOptions


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main(*arguments)
    assert error.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.normal(size=(60, 3)).astype(np.float32))
    return tmp_path


def config_of(run):
    return json.loads((run / "config.json").read_text())


def test_a_file_of_flags_and_one_that_overrides_it(here):
    (here / "run.toml").write_text(
        'method = "kmeans"\ndata = "x.npy"\nn-clusters = 3\nseed = 4\nno_report = true\n'
    )
    main("train", "--config", "run.toml", "--n-clusters", 2)
    run = here / "runs" / "kmeans-x-4"
    assert config_of(run)["flags"] == {
        "method": "kmeans",
        "data": "x.npy",
        "n_clusters": 2,
        "seed": 4,
        "no_report": True,
    }
    assert not (run / "report.html").exists()


def test_the_config_of_a_run_makes_the_same_run(here):
    arguments = ("--data", "x.npy", "--n-clusters", 2, "--hidden", 4, 3, "--epochs", 1, "--pretrain-epochs", 1)
    arguments += ("--batch-size", 16)
    main("train", "dec", *arguments, "--no-report")
    first = here / "runs" / "dec-x-0"
    main("train", f"--config={first / 'config.json'}", "--workdir", "again")
    assert config_of(here / "again")["run"] == config_of(first)["run"]
    assert (here / "again" / "assignments.csv").read_bytes() == (first / "assignments.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('method = "dec"\nhidde = [3]', "sets hidde, which jaxdc train dec does not have: did you mean hidden?"),
        ('method = "kmeans"\nalpha = 1', "sets alpha, which jaxdc train kmeans does not have"),
        ('method = "dce"', "unknown method 'dce'; did you mean dec"),
        ("method = 3", "gives method as 3, which is not a name"),
        ('data = "x.npy"', "name the method to train"),
        ("method = ", "is no valid TOML"),
        ('method = "dec"\nhidden = [[3]]', "sets hidden to [3]"),
    ],
)
def test_a_wrong_file(here, capsys, text, message):
    (here / "run.toml").write_text(text)
    assert message in refused(capsys, "train", "--config", "run.toml", "--data", "x.npy", "--n-clusters", 2)
    assert not (here / "runs").exists()


def test_files_that_are_none(here, capsys):
    assert "can't be read: No such file" in refused(capsys, "train", "--config", "none.toml")
    assert "takes one file" in refused(capsys, "train", "kmeans", "--config")
    (here / "a.json").write_text("[1]")
    assert "holds list where flags by name are expected" in refused(capsys, "train", "--config", "a.json")
    (here / "a.json").write_text('{"run": {"method": "dec"}}')
    assert "does not record the flags" in refused(capsys, "train", "--config", "a.json")
    (here / "a.json").write_text('{"method": "dec"}')
    assert "is of the method dec, not of kmeans" in refused(capsys, "train", "kmeans", "--config", "a.json")


def test_nested_settings_become_dotted_flags(tmp_path):
    known = with_hyper_parameters(TrainOptions, methods.ALL["simclr"])
    flags = {"backbone": {"depth": 10, "stem": "cifar"}, "download": True, "fresh": False, "workdir": None}
    arguments = arguments_of(flags, known, tmp_path, "simclr")
    assert arguments == ["--backbone.depth", "10", "--backbone.stem", "cifar", "--download"]
    parsed = tyro.cli(known, args=["--data", "digits", *arguments])
    assert (parsed.backbone.depth, parsed.backbone.stem, parsed.download) == (10, "cifar", True)
    assert recorded(parsed, "simclr") == {
        "method": "simclr",
        "data": "digits",
        "download": True,
        "backbone": {"depth": 10, "stem": "cifar"},
    }


def test_seeds_are_compared(here, capsys):
    y = np.repeat([0, 1, 2], 20)
    x = np.random.default_rng(0).normal(size=(60, 2)) + 20 * y[:, None]
    np.savez("blobs.npz", x=x.astype(np.float32), y=y)
    main("train", "kmeans", "--data", "blobs.npz", "--seeds", 3, 5, "--no-report")
    told = capsys.readouterr().err
    assert "mean ± standard deviation of 2 seeds: ACC 1.0000 ± 0.0000" in told
    assert "agreement between seeds (mean ARI of two): 1.0000" in told
    assert "kept as the best: runs/kmeans-blobs-3" in told
    table = json.loads((here / "runs" / "kmeans-blobs-seeds.json").read_text())
    assert [one["seed"] for one in table["runs"]] == [3, 5] and table["ari"] == [[1, 1], [1, 1]]
    assert table["protocol"].endswith("2 seeds")
    # Each folder is that of the run with its seed alone.
    main("train", "kmeans", "--data", "blobs.npz", "--seed", 5, "--no-report")
    assert "already finished" in capsys.readouterr().err


def test_wrong_seeds(here, capsys):
    arguments = ("train", "kmeans", "--data", "x.npy", "--n-clusters", 2)
    assert "names a seed twice: 1 2 1" in refused(capsys, *arguments, "--seeds", 1, 2, 1)
    assert "--seeds must be at least 0" in refused(capsys, *arguments, "--seeds", 1, -1)
    assert "exclude each other" in refused(capsys, *arguments, "--seeds", 1, 2, "--seed", 1)
    assert not (here / "runs").exists()
