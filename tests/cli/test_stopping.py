"""A run is stopped within seconds, also while its main thread computes."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from jaxdc import fit, runs
from jaxdc.cli import main
from jaxdc.cli.stopping import StopSignals
from jaxdc.methods import DEC
from jaxdc.methods.base import Experiment, Stage
from jaxdc.train import stage_run
from jaxdc.train.checkpoint import Checkpoints


@pytest.fixture
def end():
    """Ends nothing, but says that it would."""

    class End:
        called = threading.Event()

        def __call__(self):
            self.called.set()

    End.called.clear()
    return End()


def test_a_run_that_notices_is_left_alone(end):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals(end, grace_seconds=0.2) as stop:
        assert not stop.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested()
        assert not end.called.wait(0.4)  # saving may take longer than the grace
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_run_that_does_not_notice_is_ended(end):
    with StopSignals(end, grace_seconds=0.1):
        os.kill(os.getpid(), signal.SIGTERM)
        assert end.called.wait(5)


def test_who_insists_does_not_wait(end):
    with StopSignals(end, grace_seconds=100.0):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert end.called.wait(5)


CODE = """
import sys, jax, jax.numpy as jnp
from jaxdc import cli, methods
refresh = methods.KMeans.refresh
def long(self, model, aux, features, key):
    print("refreshing", flush=True)
    # One computation, in which no handler of a signal runs.
    jax.block_until_ready(jax.jit(lambda x: jax.lax.while_loop(lambda x: jnp.bool_(True), jnp.sin, x))(features))
methods.KMeans.refresh = methods.KMeans.finish = long
cli.main(["train", "kmeans", "--data", "digits", "--workdir", sys.argv[1], "--no-report"])
"""


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_within_ten_seconds_inside_a_long_refresh(tmp_path, number):
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "refreshing\n"
    time.sleep(1)
    process.send_signal(number)
    began = time.monotonic()
    error = process.communicate(timeout=60)[1]
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert "stopped: run the same command again to resume from the start" in error
    assert "Traceback" not in error


def test_before_a_long_refresh_what_was_learnt_is_saved(tmp_path, one_device, monkeypatch):
    saved, save = [], Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, step, tree: (saved.append(step), save(self, step, tree)))
    method = DEC(n_clusters=4, refresh_steps=5, tolerance=0.0, hidden=(16,), latent=4)
    x = np.random.default_rng(0).normal(size=(200, 36)).astype(np.float32)
    run = {"devices": one_device, "workdir": tmp_path / "run"}
    monkeypatch.setattr(stage_run, "LONG_REFRESH_SECONDS", 0.0)
    fit(Experiment((Stage(method=method, steps=12, batch_size=40),)), x, **run)
    assert saved == [5, 10, 12]


@pytest.mark.full
def test_a_signal_at_the_end_of_a_run_stops_those_after_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train, trained = runs.fit, []

    def until_the_end(*args, **kwargs):
        trained.append(train(*args, **kwargs))
        os.kill(os.getpid(), signal.SIGTERM)
        return trained[-1]

    monkeypatch.setattr(runs, "fit", until_the_end)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "kmeans", "--data", "digits", "--seeds", "0", "1"])
    assert stopped.value.code == 130
    assert len(trained) == 1
    assert "has finished" in capsys.readouterr().err
