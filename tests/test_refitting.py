"""Every question of validation goes through one door, and comes out of it the same."""

import multiprocessing
import os
import pickle
import time

import numpy as np
import pytest

from methods import ByHeart, Constant, Deadly, Logistic, Moody, Spy, drawn
from spinecast.errors import SpinecastError
from spinecast.fitting.refitting import FEWEST_EVENTS, Task, refitted, too_few, troubles
from spinecast.sharing import cores, workers

CODES, Y = drawn(60)
EVERYONE = np.arange(60)


def task(learn, test=EVERYONE):
    return Task(np.asarray(learn), np.asarray(test))


def test_the_number_of_processes_changes_nothing():
    tasks = [task(EVERYONE[i:]) for i in range(3)]
    risks = []
    for processes in (1, 2):
        with workers(processes) as share:
            refits = list(refitted(Logistic, CODES[:, :5], Y, tasks, share=share))
        risks.append([refit.risk for refit in refits])
    np.testing.assert_array_equal(*risks)


def test_processes_end_with_the_block_that_an_error_leaves():
    before, mine = set(multiprocessing.active_children()), set()

    def interrupted(*_):
        mine.update(set(multiprocessing.active_children()) - before)
        raise KeyboardInterrupt

    tasks = [task(EVERYONE)] * 4
    with pytest.raises(KeyboardInterrupt), workers(2) as share:
        list(refitted(Logistic, CODES[:, :5], Y, tasks, share=share, progress=interrupted))
    assert mine
    until = time.monotonic() + 20
    while any(map(lives, mine)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(lives, mine))


def lives(process):
    # Not `is_alive`: the executor's own thread may have taken the answer it waits for.
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_was_killed_is_said():
    with pytest.raises(SpinecastError, match="one process"), workers(2) as share:
        list(refitted(Deadly, CODES[:, :5], Y, [task(EVERYONE)] * 2, share=share))


def test_there_is_a_core():
    assert 1 <= cores() <= os.cpu_count()


def test_a_method_learns_from_its_own_patients_only_and_is_told_of_copies():
    spy = Spy()
    learn, test = np.repeat(EVERYONE[:40], 2), EVERYONE[40:]
    list(refitted(spy, CODES, Y, [task(learn, test)]))
    ((learned, patients, tested),) = spy.fits
    assert learned.tolist() == patients.tolist() == learn.tolist()
    assert tested.tolist() == test.tolist()


def test_each_task_is_told_of_when_it_is_done():
    told = []
    tasks = [task(EVERYONE)] * 3
    list(refitted(Constant, CODES, Y, tasks, progress=lambda *x: told.append(x), stage="s"))
    assert told == [("s", 1, 3), ("s", 2, 3), ("s", 3, 3)]


def test_one_kind_of_patient_teaches_nothing():
    (refit,) = refitted(ByHeart, CODES, Y, [task(np.flatnonzero(Y == 1))])
    assert np.isnan(refit.risk).all()
    assert "one kind" in refit.trouble


def test_copies_of_one_patient_are_one_patient():
    once = np.flatnonzero(Y == 1)[:1]
    learn = np.concatenate([np.flatnonzero(Y == 0), np.repeat(once, 20)])
    (refit,) = refitted(Logistic, CODES, Y, [task(learn)])
    assert refit.trouble


def test_a_refusal_is_said_and_the_rest_comes_out():
    high, low = np.flatnonzero(CODES[:, 0] > 0), np.flatnonzero(CODES[:, 0] <= 0)
    tasks = [task(np.concatenate([first, EVERYONE])) for first in (high, low)]
    refused, fine = refitted(Moody, CODES, Y, tasks)
    assert np.isnan(refused.risk).all()
    assert np.isfinite(fine.risk).all()
    assert troubles([refused, fine]) == ("1 of 2 refits failed: It would not learn.",)
    assert troubles([fine]) == ()


def test_a_bug_is_not_swallowed():
    with pytest.raises(AttributeError):
        list(refitted(lambda: object(), CODES, Y, [task(EVERYONE)]))


@pytest.mark.parametrize("kind", [0, 1])
def test_nine_are_too_few_and_ten_are_not(kind):
    def patients(few):
        return np.array([kind] * few + [1 - kind] * 50, dtype=float)

    assert too_few(patients(FEWEST_EVENTS)) == ""
    assert "10 without are needed" in too_few(patients(FEWEST_EVENTS - 1))


def test_a_registry_goes_to_another_process_as_it_was_declared(tiny):
    assert tiny.by_name  # worked out, and not sent along
    assert tiny.levels
    there = pickle.loads(pickle.dumps(tiny))
    assert there == tiny
    assert there.by_name.keys() == tiny.by_name.keys()
