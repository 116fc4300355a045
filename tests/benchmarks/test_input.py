"""The whole benchmark on a few small JPEGs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.full
def test_readers_are_measured_and_compared(tmp_path):
    pytest.importorskip("tensorflow_datasets", reason="the extra jaxdc[data] is not installed")
    rng = np.random.default_rng(0)
    for i in range(5):
        image = Image.fromarray(rng.integers(256, size=(40, 50, 3), dtype=np.uint8))
        image.save(tmp_path / f"{i}.jpg")
    output = tmp_path / "figures.json"
    small = "--images 24 --side 16 --batch 4 --repeats 2 --cores 1 --records 1000 --record-bytes 5000"
    command = [sys.executable, BENCHMARKS / "input.py", "--pictures", tmp_path, *small.split()]
    done = subprocess.run(
        [*command, "--output", output], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(output.read_text())
    assert {"jaxdc, TFDS", "tf.data", "jaxdc, folder", "Pillow"} <= set(written["results"])
    for row in written["results"].values():
        assert [turn["images"] for turn in row["turns"]] == [24, 24]
        assert row["images_per_processor_second"] > 10
    assert set(written["opening"]) == {"places", "labels"}
    assert written["machine"]["cores"] == 1
    assert "x tf.data" in done.stdout
