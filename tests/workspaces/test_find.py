import jax
import numpy as np
import pytest

from jaxdc import metrics
from jaxdc.errors import InputError
from jaxdc.workspaces import Events, Finder, LogMaker, Towers

ONE = jax.devices()[:1]
SMALL = LogMaker(n_workspaces=16, most=40, n_users=30, n_subjects=4, n_shared=6, n_sessions=8)
QUICK = Towers(batch_size=256, dim=32)


def figures(made, found):
    known = made.workspaces >= 0
    scored = made.workspaces[known], found.labels[known]
    return metrics.pairwise_f1_score(*scored), metrics.adjusted_rand_score(*scored)


@pytest.mark.full
def test_what_is_learnt_beats_the_text_alone_and_the_counts_alone():
    measured = {name: [] for name in ("learned", "text", "co-count")}
    for seed in range(3):
        made = SMALL.make(seed)
        for name, figures_of in measured.items():
            finder = Finder(similarity=name, towers=QUICK)
            figures_of.append(figures(made, finder.find(made.events, made.texts, seed=seed, devices=ONE)))
    f1, ari = ({name: np.mean(values, axis=0)[i] for name, values in measured.items()} for i in (0, 1))
    assert f1["learned"] > max(f1["text"], f1["co-count"]) + 0.05
    assert ari["learned"] > max(ari["text"], ari["co-count"]) + 0.05


@pytest.mark.full
def test_the_same_seed_finds_the_same():
    made = LogMaker(n_workspaces=4, n_users=10, most=8).make(1)
    finder = Finder(towers=Towers(dim=8, batch_size=32, least_steps=50, epochs=1))
    one, again = (finder.find(made.events, made.texts, seed=1, devices=ONE) for _ in range(2))
    np.testing.assert_array_equal(one.labels, again.labels)
    np.testing.assert_array_equal(one.confidence, again.confidence)
    assert one.figures == again.figures
    sizes = np.bincount(one.labels)
    assert (np.diff(sizes) <= 0).all()
    assert one.confidence.min() >= 0
    assert one.confidence.max() <= 1
    assert one.figures["n_workspaces"] + one.figures["n_alone"] == len(sizes)


def two_tasks(n_sessions):
    """Sessions of four minutes, each of two documents of one of two tasks; one document is accessed alone."""
    rng, events = np.random.default_rng(0), [("u", "lonely", -1e6)]
    for i in range(n_sessions):
        a, b = rng.choice(5, 2, replace=False)
        events += [("u", f"task{i % 2}-{a}", 1e5 * i), ("u", f"task{i % 2}-{b}", 1e5 * i + 240)]
    return Events.of(events)


def test_counts_of_two_tasks_that_nobody_mixes():
    events = two_tasks(80)
    found = Finder(similarity="co-count").find(events)
    tasks = [name.split("-")[0] for name in events.names]
    assert metrics.pairwise_f1_score(tasks, found.labels) == 1.0
    assert found.labels.max() == 2
    assert found.confidence[events.names.index("lonely")] == 0
    assert found.figures["n_workspaces"] == 2
    assert found.figures["n_alone"] == 1
    assert found.figures["loss"] is None


def test_too_few_sessions_to_hold_some_out():
    said = []
    found = Finder(similarity="co-count").find(two_tasks(1), say=said.append)
    assert "too few sessions" in said[0]
    assert len(found.labels) == 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"similarity": "none"}, "similarity must be one of learned, text, co-count"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1"),
        ({"held_out": 1.0}, "held_out must be above 0 and below 1"),
        ({"n_terms": 1}, "n_terms must be at least 2"),
    ],
)
def test_impossible_settings_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Finder(**settings)


def test_texts_that_do_not_fit_are_refused():
    events = two_tasks(20)
    with pytest.raises(InputError, match="needs the texts"):
        Finder(similarity="text").find(events)
    with pytest.raises(InputError, match="1 texts for the 11 documents"):
        Finder().find(events, ["a"])
    with pytest.raises(InputError, match="contain no term"):
        Finder().find(events, ["a"] * 11)
    with pytest.raises(InputError, match="contain no term"):
        Finder().find(events, [""] * 11)
