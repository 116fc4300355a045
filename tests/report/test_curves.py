import numpy as np
import pytest

from jaxdc.report.charts import marks, thinned
from jaxdc.report.curves import curves_in

ROW = {"stage": 1, "images_per_second": 3.0, "device_bytes": 5}


def test_figures_of_two_points_and_more_in_order():
    history = [
        {**ROW, "step": 1, "loss": 3.0, "churn": 0.5, "mse": 2.0, "kl": 3.0, "warning": "so"},
        {**ROW, "step": 2, "loss": 2.0, "churn": 0.25, "mse": 1.0, "kl": 2.0, "acc": None},
        {**ROW, "step": 3, "loss": float("nan"), "acc": 0.5, "note": "text"},
        {**ROW, "stage": 2, "step": 1, "loss": 1.0},
        {**ROW, "stage": 2, "step": 2, "loss": 0.5},
    ]
    found = curves_in(history)  # kl is the loss itself, so once is enough; acc is one point
    assert [(c.stage, c.figure) for c in found] == [(1, "loss"), (1, "mse"), (1, "churn"), (2, "loss")]
    assert found[0].steps.tolist() == [1, 2] and found[0].values.tolist() == [3, 2]


def test_long_curves_are_means_of_stretches():
    steps, values = thinned(np.arange(1, 101), np.arange(100.0), 10)
    assert steps.tolist() == list(range(10, 101, 10))
    assert values.tolist() == [10 * i + 4.5 for i in range(10)]
    assert thinned(np.arange(5), np.arange(5.0), 10)[0].tolist() == list(range(5))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (0, 10, [0, 2.5, 5, 7.5, 10]), (1.9, 2.3, [1.9, 2.0, 2.1, 2.2, 2.3])],
)
def test_marks_are_round_and_within(low, high, expected):
    assert marks(low, high) == pytest.approx(expected)


def test_marks_of_a_flat_curve():
    assert marks(3, 3) == [3]
