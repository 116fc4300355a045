import numpy as np
import pytest

from jaxdc.errors import InputError
from jaxdc.workspaces import LogMaker, co_access_pairs, read_events, read_texts, split_sessions, texts_in_order


def test_the_truth_fits_the_log():
    made = LogMaker().make(0)
    n = len(made.events.names)
    assert len(made.texts) == n == len(made.workspaces)
    assert set(made.events.documents.tolist()) == set(range(n))
    sizes = np.bincount(made.workspaces[made.workspaces >= 0])
    assert len(sizes) == 40
    assert np.median(sizes) < 20 < sizes.max()  # a power law
    assert 8 <= np.sum(made.workspaces < 0) <= 12
    assert all(made.texts)


def test_it_is_as_hard_as_it_says():
    made = LogMaker().make(0)
    pairs = co_access_pairs(split_sessions(made.events))
    one, other = made.workspaces[pairs.first], made.workspaces[pairs.second]
    assert 0.2 < np.mean((one == other) & (one >= 0)) < 0.5
    assert np.mean(pairs.sessions == 1) > 0.7


def test_the_seed_decides():
    one, again, other = (LogMaker(n_workspaces=3, n_users=4).make(seed) for seed in (3, 3, 4))
    assert one.texts == again.texts
    np.testing.assert_array_equal(one.events.times, again.events.times)
    assert one.texts != other.texts


def test_what_is_written_is_read(tmp_path):
    made = LogMaker(n_workspaces=3, n_users=4, n_shared=2).make(0)
    made.write(tmp_path)
    events, read = read_events(tmp_path / "log.csv"), read_texts(tmp_path / "documents.csv", labels="workspace")
    assert events.names == made.events.names
    np.testing.assert_array_equal(events.times, made.events.times)
    assert texts_in_order(events, read.texts) == made.texts
    known = [read.labels.get(name, "workspace-1") for name in events.names]
    assert known == [f"workspace{w:03}" if w >= 0 else "workspace-1" for w in made.workspaces]


def test_impossible_logs_are_refused():
    with pytest.raises(InputError, match="workspaces can't have 9 to 5 documents"):
        LogMaker(least=9, most=5)
    with pytest.raises(InputError, match="n_users of a synthetic log can't be 0"):
        LogMaker(n_users=0)
    with pytest.raises(InputError, match=r"stray of a synthetic log can't be -0\.1"):
        LogMaker(stray=-0.1)
