import base64
import io
import re

import numpy as np
import pytest
from html_pages import Page
from scipy.io import wavfile

from jaxdc.data.sound import load_sounds
from jaxdc.describe import describe
from jaxdc.report import page, sounds

from .test_page import run_of


class Tones:
    """Ten seconds at 16 kHz, one pitch a row; row 3 is gone."""

    def clip(self, row, *, seconds, rate):
        if row == 3:
            raise FileNotFoundError(row)
        x = np.full(int(min(seconds, 10) * rate), row + 1, np.int16)
        file = io.BytesIO()
        wavfile.write(file, rate, x)
        return file.getvalue()


def opened(address):
    kind, _, content = address.partition(",")
    assert kind == "data:audio/wav;base64"
    return wavfile.read(io.BytesIO(base64.b64decode(content)))


def test_each_row_has_its_clip_and_what_is_gone_has_none():
    made = sounds.clips(Tones(), [5, 2, 3, 5])
    assert list(made) == [5, 2]
    for row, address in made.items():
        rate, x = opened(address)
        assert rate == 16000 and len(x) == 4 * 16000 and (x == row + 1).all()


@pytest.mark.parametrize("n", [1, 100, 400, 4000])
def test_a_page_can_bear_all_clips(n):
    made = sounds.clips(Tones(), range(4, 4 + n))
    assert sum(map(len, made.values())) <= sounds.MOST_BYTES * 4 / 3 + 64 * n
    lengths = {len(x) / rate for rate, x in (opened(address) for address in list(made.values())[:3])}
    assert len(lengths) == 1 and sounds.LEAST_SECONDS <= lengths.pop() <= sounds.MOST_SECONDS
    assert len(made) == n or (n == 4000 and list(made) == list(range(4, 4 + len(made))) and len(made) > 900)


def shown(run):
    found = describe(run.embeddings, run.probabilities, n_members=2)
    return page(run, found, umap=False), {m.row for c in found for m in (*c.central, *c.doubtful)}


def test_members_can_be_played_and_the_browser_may_do_so():
    html, rows = shown(run_of(sounds=Tones()))
    Page(html).check()
    players = re.findall(r'<audio controls preload="none" src="([^"]+)" aria-label="([^"]+)"', html)
    assert {int(name) for _, name in players} == rows - {3}
    assert all(opened(address)[1][0] == int(name) + 1 for address, name in players)
    assert "media-src data:;" in html
    silent, _ = shown(run_of())
    assert "<audio" not in silent and "media-src" not in silent


def test_recordings_of_a_folder(tmp_path):
    for i in range(3):
        wavfile.write(tmp_path / f"{i}.wav", 8000, np.full(1600, 1000 * (i + 1), np.int16))
    made = sounds.clips(load_sounds(tmp_path).sounds, [0, 2])
    for row, address in made.items():
        rate, x = opened(address)
        assert rate == 8000
        np.testing.assert_allclose(x, 1000 * (row + 1), atol=1)
