"""Recordings from the command line: a run, its report, new recordings, and views of images refused."""

import json

import jax
import numpy as np
import pytest
from scipy.io import wavfile

import jaxdc
from jaxdc.augment import Spectrogram, Weak
from jaxdc.cli import main
from jaxdc.data import open_source
from jaxdc.data.sound import LogMel
from jaxdc.errors import InputError
from jaxdc.methods import DEC, SimCLR
from jaxdc.runs import load
from jaxdc.runs.config import spec_for, spec_of
from jaxdc.runs.samples import samples_of_run

CALL = ("--sound-bands", "20", "--sound-frames", "16")


def record(folder, seed, n=12):
    """Rising, falling and steady tones."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        seconds = rng.uniform(0.2, 0.4)
        t = np.arange(int(8000 * seconds)) / 8000
        low, high = rng.uniform(300, 400), rng.uniform(2000, 2500)
        kind = ("rising", "falling", "steady")[i % 3]
        start, end = {"rising": (low, high), "falling": (high, low), "steady": (1000, 1000)}[kind]
        x = np.sin(2 * np.pi * (start * t + (end - start) * t**2 / (2 * seconds))) + rng.normal(
            scale=0.1, size=len(t)
        )
        (folder / kind).mkdir(parents=True, exist_ok=True)
        wavfile.write(folder / kind / f"{i}.wav", 8000, (x * rng.uniform(2000, 20000)).astype(np.int16))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    data = record(folder / "recordings", 0, n=36)
    main(["train", "kmeans", "--data", str(data), "--workdir", str(folder / "run"), *CALL])
    return folder


def test_a_run_on_recordings(run):
    config = json.loads((run / "run" / "config.json").read_text())
    assert config["run"]["data"]["shape"] == [20, 16, 1]
    assert json.loads((run / "run" / "metrics.json").read_text())["acc"] > 0.9
    html = (run / "run" / "report.html").read_text()
    assert html.count("<audio") >= 15 and "media-src data:" in html and "<img" in html


def test_methods_that_scale_samples_are_told_the_mean_of_recordings(run):
    config = json.loads((run / "run" / "config.json").read_text())
    source = open_source(str(run / "recordings"), sound=LogMel(n_mels=20, n_frames=16))
    spec = spec_of(config)
    assert spec == spec_for(source) and spec.offset == 0.5
    assert spec.rms == pytest.approx(np.sqrt(np.mean((source.array - 0.5) ** 2)), rel=1e-6)
    model, _ = DEC(n_clusters=3, hidden=(8,), latent=2).init(jax.random.key(0), spec)
    x = np.asarray(model.encoder.flatten(source.array))
    assert abs(x.mean()) < 0.01 and np.mean(x**2) == pytest.approx(1, rel=1e-4)
    raw = open_source(str(run / "recordings"), sound=LogMel(normalized=False))
    assert spec_for(raw).offset == 0


def test_a_report_of_a_folder_plays_them_too(run):
    (run / "run" / "report.html").unlink()
    main(["report", str(run / "run")])
    assert (run / "run" / "report.html").read_text().count("<audio") >= 15
    samples = samples_of_run(json.loads((run / "run" / "config.json").read_text()))
    assert len(samples.sounds) == 36 and samples.images.shape == (20, 16, 1)


def test_new_recordings_are_treated_as_the_first(run, capsys):
    new = record(run / "new", 1)
    main(["predict", str(run / "run"), "--data", str(new), "--output", str(run / "new.csv")])
    table = (run / "new.csv").read_text().splitlines()[1:]
    cluster_of = {}
    for line in table:
        kind, cluster = line.split(",")[0].split("/")[-2], line.split(",")[1]
        assert cluster_of.setdefault(kind, cluster) == cluster
    assert len(set(cluster_of.values())) == 3
    with pytest.raises(SystemExit):
        main(["predict", str(run / "run"), "--data", str(new), "--output", "x.csv", "--sound-bands", "30"])
    assert "treated as those of the run" in capsys.readouterr().err


def test_recordings_that_changed_are_no_longer_those_of_the_run(run, tmp_path):
    config = json.loads((run / "run" / "config.json").read_text())
    with pytest.raises(InputError, match="does not match the samples"):
        samples_of_run(config, str(record(tmp_path, 2)))


def test_views_of_images_are_refused(run):
    source = open_source(str(run / "recordings"))
    with pytest.raises(InputError, match=r"by Weak, which is for images: pass .*Spectrogram\(\)"):
        jaxdc.fit(SimCLR(n_clusters=3, augmentation=Weak()), source)
    with pytest.raises(InputError, match="would rotate"):
        jaxdc.fit(DEC(n_clusters=3, augment=True), source)
    with pytest.raises(InputError, match="by Weak"):
        jaxdc.fit(SimCLR(n_clusters=3, augmentation=Weak()), source, copies=1)


@pytest.mark.full
def test_the_command_chooses_views_of_sounds(run, capsys):
    data = ["--data", str(run / "recordings"), *CALL, "--backbone.depth", "10", "--backbone.width", "4"]
    short = ["--epochs", "1", "--batch-size", "8", "--no-report"]
    main(["train", "simclr", *data, *short, "--workdir", str(run / "simclr")])
    assert load(run / "simclr").method.augmentation == Spectrogram()
    with pytest.raises(SystemExit):
        main(["train", "simclr", *data, *short, "--augmentation.no-flip", "--workdir", str(run / "other")])
    assert "--augmentation.* is about views of images" in capsys.readouterr().err
