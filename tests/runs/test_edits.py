"""Edits as pure functions of embeddings and probabilities, and their file."""

import json

import numpy as np
import pytest

from jaxdc.errors import InputError
from jaxdc.runs.edits import NAME, Divide, Drop, Edits, Merge, Reject, Rename, applied
from jaxdc.train.labels import labels_of, sizes_of

# Five samples on a line, in three clusters.
Z = np.array([[0.0], [1.0], [10.0], [11.0], [20.0]], np.float32)
P = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9]], np.float32)


def edited(*edits, z=Z, p=P):
    return Edits((edits,)).replay(z, p)[0]


def test_labels_of_a_row_of_zeros():
    p = np.array([[0.2, 0.8], [0.0, 0.0], [0.5, 0.5]])
    assert labels_of(p).tolist() == [1, -1, 0]
    assert labels_of(p).dtype == np.int32
    assert sizes_of(labels_of(p), 3).tolist() == [1, 1, 0]


def test_merge_adds_probabilities():
    p = edited(Merge((2, 1)))
    np.testing.assert_allclose(p, np.stack([P[:, 0], 0 * P[:, 1], P[:, 1] + P[:, 2]], axis=1))
    assert labels_of(p).tolist() == [0, 0, 2, 2, 2]
    assert P[0, 1] == np.float32(0.1)  # the input is untouched


def test_divide_moves_each_sample_to_the_nearest_part():
    p = edited(Divide((0, 3), ((0.0,), (1.0,))))
    assert p.shape == (5, 4)
    assert labels_of(p).tolist() == [0, 3, 1, 1, 2]
    np.testing.assert_allclose(p.sum(axis=1), P.sum(axis=1))
    np.testing.assert_allclose(p[:, 1:3], P[:, 1:])


def test_drop_leaves_the_members_nowhere_and_the_others_whole():
    p = edited(Drop(1))
    assert labels_of(p).tolist() == [0, 0, -1, -1, 2]
    np.testing.assert_allclose(p.sum(axis=1), [1, 1, 0, 0, 1], rtol=1e-6)


def test_reject_by_confidence_takes_the_share_that_was_asked_for():
    p = edited(Reject(0.4, "confidence"))
    assert labels_of(p).tolist() == [0, 0, -1, -1, 2]
    np.testing.assert_array_equal(p[[0, 1, 4]], P[[0, 1, 4]])


def test_reject_by_distance_is_relative_to_the_cluster():
    """A wide cluster's members are not outliers for being far from its mean; the one that lies apart is."""
    rng = np.random.default_rng(0)
    narrow, wide = rng.normal(0, 0.01, (50, 2)), rng.normal(10, 1, (50, 2))
    z = np.concatenate([narrow, [[0.2, 0.2]], wide]).astype(np.float32)
    p = np.eye(2, dtype=np.float32)[[0] * 51 + [1] * 50]
    labels = labels_of(edited(Reject(1 / 101), z=z, p=p))
    assert np.flatnonzero(labels < 0).tolist() == [50]


def test_new_samples_meet_the_threshold_of_the_training():
    edits = Edits(((Reject(0.2),),))
    z = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    p = np.ones((101, 1), np.float32)
    trained, fitted = edits.replay(z, p)
    assert (labels_of(trained) < 0).sum() == 20
    new = applied(fitted, np.array([[0.0], [0.5], [5.0], [np.nan]], np.float32), np.ones((4, 1), np.float32))
    assert labels_of(new).tolist() == [0, 0, -1, -1]
    # One by one gives the same as all at once.
    alone = [applied(fitted, z[i : i + 1], p[i : i + 1])[0] for i in range(101)]
    np.testing.assert_array_equal(np.stack(alone), trained)


def test_a_cluster_of_equal_samples_loses_none():
    assert (labels_of(edited(Reject(0.5), z=np.zeros((5, 1), np.float32))) >= 0).all()


def test_edits_in_their_order_and_names():
    edits = Edits(((Merge((0, 1)), Rename(0, "both")), (Rename(2, "x"), Drop(2)), (Rename(0, ""),)))
    assert Edits(edits.steps[:2]).names == {0: "both"}
    assert edits.names == {}
    assert edits.removed == {1, 2}
    assert [str(edit) for edit in edits][:2] == ["merged 1 into 0", 'named 0 "both"']


def test_the_file_keeps_every_kind(tmp_path):
    kinds = (Merge((1, 0)), Divide((2, 3), ((0.5,), (1.5,))), Rename(2, "ä b"), Drop(3), Reject(0.1, "confidence"))
    edits = Edits((kinds[:2], kinds[2:]))
    edits.write(tmp_path)
    assert Edits.read(tmp_path) == edits
    Edits().write(tmp_path)
    assert not (tmp_path / NAME).exists()
    assert Edits.read(tmp_path) == Edits()


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "os.system", "command": "true"},
        {"kind": "merge", "clusters": [1]},
        {"kind": "merge", "clusters": [1, "2"]},
        {"kind": "merge", "clusters": [1, 1]},
        {"kind": "drop", "cluster": -1},
        {"kind": "drop", "cluster": True},
        {"kind": "drop", "cluster": 1, "more": 2},
        {"kind": "divide", "parts": [0, 3], "centroids": [[0.0]]},
        {"kind": "divide", "parts": [0, 3], "centroids": [[0.0], [float("nan")]]},
        {"kind": "reject", "share": 2, "by": "distance"},
        {"kind": "reject", "share": 0.1, "by": "taste"},
        "merge",
        None,
    ],
)
def test_a_damaged_file_is_refused(tmp_path, step):
    (tmp_path / NAME).write_text(json.dumps({"steps": [[step]]}))
    with pytest.raises(InputError, match=r"edits\.json is damaged"):
        Edits.read(tmp_path)


@pytest.mark.parametrize("edit", [Merge((0, 7)), Drop(7), Divide((0, 3), ((0.0, 1.0), (1.0, 2.0)))])
def test_edits_of_another_run_are_refused(edit):
    with pytest.raises(InputError, match="does not belong to this run"):
        edited(edit)
