import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charnn.data.windows import EvaluationLanes, Windows
from charnn.errors import CorpusError


def test_labels_of_a_b_c_d_are_b_c_d_d():
    a, b, c, d = range(4)
    inputs_BT, labels_BT = Windows(np.array([a, b, c, d]), lanes=1, length=4)[0]
    assert inputs_BT.tolist() == [[a, b, c, d]]
    assert labels_BT.tolist() == [[b, c, d, d]]


@given(size=st.integers(2, 60), lanes=st.integers(1, 5), length=st.integers(1, 9))
def test_windows_follow_each_other_and_labels_are_true_successors(size, lanes, length):
    if size < max(length, 2):
        return
    tokens = np.arange(size)
    windows = Windows(tokens, lanes, length)
    seen = []
    following = None
    for n in range(int(np.ceil(windows.per_epoch)) + 1):
        inputs_BT, labels_BT = windows[n]
        if following is not None:
            assert inputs_BT[:, 0].tolist() == following
        last_B = inputs_BT[:, -1]
        following = ((last_B + 1) % size).tolist()
        assert labels_BT.tolist() == np.minimum(inputs_BT + 1, size - 1).tolist()
        seen += inputs_BT.ravel().tolist()
    assert set(seen) == set(range(size))


def test_a_step_sees_the_same_batch_whatever_came_before():
    windows = Windows(np.arange(100), lanes=3, length=7)
    fresh = Windows(np.arange(100), lanes=3, length=7)
    for n in range(20):
        windows[n]
    assert windows[13][0].tolist() == fresh[13][0].tolist()


@given(
    size=st.integers(2, 80),
    lanes=st.integers(1, 6),
    length=st.integers(1, 9),
    warm_up=st.integers(0, 12),
)
def test_evaluation_counts_every_true_successor_once(size, lanes, length, warm_up):
    tokens = np.arange(size)
    targets = []
    for inputs_BT, labels_BT, scored_BT in EvaluationLanes(tokens, lanes, length, warm_up):
        assert (labels_BT == inputs_BT + 1).all()
        targets += labels_BT[scored_BT].tolist()
    assert sorted(targets) == list(range(1, size))


def test_a_corpus_shorter_than_a_window_is_an_error():
    with pytest.raises(CorpusError, match="too few for one window"):
        Windows(np.arange(63), lanes=1, length=64)
