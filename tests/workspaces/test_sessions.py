import numpy as np
import pytest

from jaxdc.errors import InputError
from jaxdc.workspaces import Events, co_access_pairs, split_sessions
from jaxdc.workspaces.sessions import MOST_AHEAD, check_pairs

MINUTE = 60.0


def log(*events):
    """Of ``(user, document, minute)``."""
    return Events.of([(user, document, MINUTE * minute) for user, document, minute in events], "log.csv")


def pairs_of(events, window=10.0, gap=30.0):
    pairs = co_access_pairs(split_sessions(events, gap_minutes=gap), window_minutes=window)
    names = [tuple(sorted((events.names[a], events.names[b]))) for a, b in zip(*pairs[:2], strict=True)]
    rows = zip(names, pairs.weights.round(9).tolist(), pairs.sessions.tolist(), strict=True)
    return {name: (weight, n) for name, weight, n in rows}


def test_a_pause_longer_than_the_gap_ends_a_session():
    events = log(("u", "a", 0), ("u", "b", 30), ("u", "c", 60.5), ("v", "a", 61), ("v", "b", 0))
    sessions = split_sessions(events)
    assert sessions.n == 4
    assert sessions.numbers.tolist() == [0, 0, 1, 2, 3]
    assert [events.names[i] for i in sessions.documents] == ["a", "b", "c", "b", "a"]
    assert split_sessions(events, gap_minutes=31).n == 3
    only = sessions.only(np.array([False, True, False, True]))
    assert only.numbers.tolist() == [1, 3]
    assert only.n == 4


def test_pairs_of_a_hand_made_log():
    events = log(
        ("u", "a", 0),
        ("u", "b", 0),  # at once: 1
        ("u", "c", 5),  # half a window from both: 3/4
        ("u", "a", 11),  # 11 minutes from b, 6 from c: c is nearer to the first a
        ("v", "b", 100),
        ("v", "a", 110),  # a whole window: 1/2, in a second session
        ("v", "d", 121),  # too far from all
        ("w", "c", 0),  # another user
    )
    assert pairs_of(events) == {("a", "b"): (1.5, 2), ("a", "c"): (0.75, 1), ("b", "c"): (0.75, 1)}
    assert pairs_of(events, window=0.5) == {("a", "b"): (1.0, 1)}
    # The window does not reach over the end of a session.
    assert ("a", "b") not in pairs_of(log(("u", "a", 0), ("u", "b", 20)), window=60, gap=10)


def test_order_and_repetition_do_not_matter():
    rng = np.random.default_rng(0)
    events = [(f"u{rng.integers(3)}", f"d{rng.integers(9):02}", float(rng.integers(300))) for _ in range(200)]
    again = [events[i] for i in rng.permutation(200)] + events[:50]
    assert pairs_of(log(*events)) == pairs_of(log(*again))


def test_pairs_against_a_search_among_all():
    rng = np.random.default_rng(1)
    events = log(
        *((f"u{rng.integers(4)}", f"d{rng.integers(20):02}", float(t)) for t in rng.integers(500, size=300))
    )
    sessions = split_sessions(events, gap_minutes=7)
    nearest = {}
    for i in range(300):
        for j in range(i + 1, 300):
            a, b = sorted((int(sessions.documents[i]), int(sessions.documents[j])))
            apart = abs(sessions.times[i] - sessions.times[j])
            if sessions.numbers[i] == sessions.numbers[j] and a != b and apart <= 10 * MINUTE:
                key = int(sessions.numbers[i]), a, b
                nearest[key] = min(nearest.get(key, np.inf), apart)
    expected = {}
    for (_, a, b), apart in nearest.items():
        expected[a, b] = expected.get((a, b), 0) + 1 - apart / (20 * MINUTE)
    pairs = co_access_pairs(sessions, window_minutes=10)
    assert (pairs.first < pairs.second).all()
    found = {(int(a), int(b)): w for a, b, w in zip(*pairs[:3], strict=True)}
    assert found == pytest.approx(expected)


def test_a_thousand_files_at_once_are_not_all_a_pair():
    events = log(*(("u", f"d{i:04}", 0) for i in range(1000)))
    assert len(pairs_of(events)) == MOST_AHEAD * 1000 - MOST_AHEAD * (MOST_AHEAD + 1) // 2


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([("u", "a", 0), ("v", "b", 0)], "each user accesses only one document"),
        ([("u", "a", 0), ("u", "a", 1), ("v", "b", 0)], "each user accesses only one document"),
        ([("u", "a", 0), ("v", "a", 1)], "has only one document"),
        ([("u", "a", 0), ("u", "b", 11)], "no user accesses two documents within 10 minutes"),
    ],
)
def test_logs_without_a_pair_are_refused(events, sentence):
    events = log(*events)
    with pytest.raises(InputError, match=sentence):
        check_pairs(events, co_access_pairs(split_sessions(events)), 10.0)


def test_impossible_times_are_refused():
    events = log(("u", "a", 0))
    with pytest.raises(InputError, match="gap_minutes must be above 0"):
        split_sessions(events, gap_minutes=0)
    with pytest.raises(InputError, match="window_minutes must be above 0"):
        co_access_pairs(split_sessions(events), window_minutes=float("nan"))
