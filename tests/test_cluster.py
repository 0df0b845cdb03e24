"""Many machines: the same answers as one process, whoever is ended on the way."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
from xgboost.core import XGBoostError

from ending import (
    SOURCE,
    EndAt,
    FullAt,
    bulk,
    divide,
    exhaust,
    fill,
    full_later,
    grow,
    linger,
    misused,
    refuse,
    scheduler,
    square,
    wait_for,
    worker,
)
from spinecast.cluster import cluster, program
from spinecast.errors import DataRefused, Problem, SpinecastError, UsageRefused
from spinecast.fitting.large.together import _member, together
from spinecast.knowledge.loading import load_registry
from spinecast.simulator.synthetic import simulate

# --- what holds for any Share -----------------------------------------------------------------


def test_answers_come_in_the_tasks_order(two_workers):
    assert list(two_workers(square, range(50))) == [number * number for number in range(50)]
    assert list(two_workers(square, [])) == []


def test_few_answers_are_underway_while_nobody_takes_them(two_workers):
    asked = []

    def tasks():
        for number in range(1000):
            asked.append(number)
            yield number

    answers = two_workers(square, tasks())
    assert next(answers) == 0
    assert len(asked) <= 2 * 3 + 1
    answers.close()


def test_what_people_did_wrong_is_said_as_in_one_process(two_workers):
    problem = Problem("row 14", "72", "0 to 10", "Divide by 10.")
    with pytest.raises(DataRefused) as refused:
        list(two_workers(refuse, [problem]))
    assert refused.value.problems == (problem,)
    assert str(refused.value) == str(DataRefused("The cohort is refused", [problem]))


def test_a_bug_says_where_it_is(two_workers):
    with pytest.raises(ZeroDivisionError) as bug:
        list(two_workers(divide, [1, 0]))
    assert bug.traceback[-1].name == "divide"


def test_large_answers_warn_nobody(two_workers):
    assert [len(answer) for answer in two_workers(bulk, [20, 20])] == [20 * 1024**2] * 2


# --- faults -----------------------------------------------------------------------------------


def test_a_worker_ended_in_the_middle_changes_no_answer(losing):
    ending = losing()
    assert list(ending(square, range(20))) == [number * number for number in range(20)]
    assert ending.ended() == 1


def test_work_that_ends_every_worker_is_given_up(two_workers):
    with pytest.raises(SpinecastError, match="memory"):
        list(two_workers(exhaust, [1]))
    two_workers.client.wait_for_workers(2, timeout=30)
    assert list(two_workers(square, [3])) == [9]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_worker_ended_while_trees_grow_changes_none(two_workers, tmp_path, rank):
    two_workers.client.wait_for_workers(2, timeout=30)
    flag = tmp_path / "ended"
    alone = grow(12, [], range(6), tmp_path)
    both = together(two_workers, partial(grow, 12, [EndAt(flag, rank)]), halves)
    assert flag.exists()
    assert both == alone


def halves(members):
    return [range(6)[member::members] for member in range(members)]


def test_an_error_of_the_trees_own_is_not_tried_again(two_workers):
    with pytest.raises(Exception, match="no such thing"):
        together(two_workers, misused, halves)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_member_that_fails_says_why_although_the_others_lose_it(two_workers, tmp_path, rank):
    two_workers.client.wait_for_workers(2, timeout=30)
    with pytest.raises(OSError, match="No space left"):
        together(two_workers, partial(grow, 12, [FullAt(rank)]), halves)


def test_why_a_member_failed_is_waited_for(two_workers):
    two_workers.client.wait_for_workers(2, timeout=30)
    with pytest.raises(OSError, match="No space left"):
        together(two_workers, full_later, halves)


class Leaving:
    """A membership that ends in an error, as when the scheduler's machine is not reached."""

    def __init__(self, **tracker):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *error):
        raise XGBoostError("/src/collective/comm.cc:1: Failed to send shutdown signal")


def test_why_a_member_failed_outlives_an_error_on_leaving(tmp_path, monkeypatch):
    monkeypatch.setattr("xgboost.collective.CommunicatorContext", Leaving)
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(local_directory=tmp_path))
    with pytest.raises(OSError, match="No space left"):
        _member(lambda lot, scratch: fill(), {}, (0, range(6)))
    with pytest.raises(XGBoostError, match="shutdown"):
        _member(lambda lot, scratch: lot, {}, (0, range(6)))


# --- a scheduler of one's own -----------------------------------------------------------------


def test_workers_of_another_version_are_refused_and_both_are_named(tmp_path):
    with (
        scheduler(tmp_path) as (_, address),
        worker(address, version="0.0.1", python=("3", "99", "0")),
        pytest.raises(UsageRefused) as refused,
        cluster(address, 1),
    ):
        pass
    assert "spinecast 0.0.1 on Python 3.99" in str(refused.value)
    assert str(program()) in str(refused.value)


def test_a_worker_of_another_version_that_joins_late_is_refused_too(tmp_path):
    with scheduler(tmp_path) as (_, address), worker(address), cluster(address, 1) as share:
        assert list(share(square, [2])) == [4]
        with worker(address, version="0.0.1"):
            share.client.wait_for_workers(2, timeout=30)
            with pytest.raises(UsageRefused, match=r"spinecast 0\.0\.1"):
                list(share(square, range(50)))


def test_a_lost_scheduler_is_said_and_not_waited_for(tmp_path):
    with scheduler(tmp_path) as (process, address), worker(address), cluster(address, 1) as share:
        answers = share(time.sleep, [0.2] * 500)
        next(answers)
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(SpinecastError, match="was lost"):
            list(answers)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_scheduler_lost_while_trees_grow_is_said(tmp_path, number):
    with (
        scheduler(tmp_path) as (process, address),
        worker(address),
        worker(address),
        cluster(address, 1) as share,
        ThreadPoolExecutor() as beside,
    ):
        share.patience = 5.0
        share.client.wait_for_workers(2, timeout=30)

        def end():
            wait_for(lambda: len(list(tmp_path.glob("member *"))) == 2)
            process.send_signal(number)
            return time.monotonic()

        ended = beside.submit(end)
        with pytest.raises(SpinecastError, match="was lost"):
            together(share, partial(linger, tmp_path), halves)
        assert time.monotonic() - ended.result() < 15


def test_whatever_a_scheduler_that_stopped_is_asked_it_is_lost(tmp_path, monkeypatch):
    with scheduler(tmp_path) as (process, address), worker(address), cluster(address, 1) as share:
        share.patience = 0.5
        monkeypatch.setattr("spinecast.cluster.client.OWN_WORK", 0.5)
        process.send_signal(signal.SIGSTOP)
        # Were one of them to wait for ever, it would have its answer then, and no error.
        going_on = threading.Timer(20.0, process.send_signal, [signal.SIGCONT])
        going_on.daemon = True
        going_on.start()
        for ask in (
            share.threads,
            share.places,
            share.memory,
            share.host,
            partial(share.on_scheduler, abs, -1),
            partial(share.settle, 2),
            lambda: next(share(square, [3])),
        ):
            with pytest.raises(SpinecastError, match="was lost"):
                ask()


def test_a_scheduler_lost_between_two_questions_is_said(tmp_path):
    with (
        scheduler(tmp_path) as (process, address),
        worker(address),
        cluster(address, 1, patience=2.0) as share,
    ):
        assert list(share(time.sleep, [0.0])) == [None]
        process.kill()
        wait_for(lambda: share.client.status == "closed")  # Dask has given up to come back
        for ask in (share.places, share.memory, lambda: next(share(square, [3]))):
            with pytest.raises(SpinecastError, match="was lost"):
                ask()


def test_without_workers_work_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("spinecast.cluster.client.DESERTED", 1.0)
    with (
        scheduler(tmp_path) as (_, address),
        worker(address) as process,
        cluster(address, 1) as share,
    ):
        share.patience = 4.0
        process.kill()
        wait_for(lambda: not share.places())
        for ask in (
            lambda: list(share(square, [3])),
            lambda: together(share, partial(linger, tmp_path), halves),
        ):
            with pytest.raises(SpinecastError, match="no worker"):
                ask()


def test_nothing_that_dask_logs_reaches_our_users(two_workers):
    loud = [
        name
        for name in logging.root.manager.loggerDict
        if name.startswith("distributed") and logging.getLogger(name).isEnabledFor(logging.ERROR)
    ]
    assert "distributed.client" in logging.root.manager.loggerDict
    assert loud == []


def test_a_scheduler_that_has_stopped_answering_is_lost(tmp_path):
    with (
        scheduler(tmp_path) as (process, address),
        worker(address),
        cluster(address, 1, patience=2.0) as share,
    ):
        answers = share(time.sleep, [0.2] * 500)
        next(answers)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(SpinecastError, match="was lost"):
            list(answers)


def test_workers_that_do_not_see_the_files_are_refused(tmp_path):
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.touch()
    with cluster(None, 1, seen=[there]) as share:
        assert list(share(square, [2])) == [4]
        there.rename(gone)  # as for a worker that joins from a machine without it
        with pytest.raises(UsageRefused, match="TMPDIR"):
            list(share(square, [2]))


def test_a_scheduler_without_workers_is_refused(tmp_path):
    with (
        scheduler(tmp_path) as (_, address),
        pytest.raises(UsageRefused, match="has no workers"),
        cluster(address, 1, patience=1.0),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "gopher://here:70", ""])
def test_an_address_where_no_scheduler_is_is_refused(address):
    with pytest.raises(UsageRefused, match="--scheduler"), cluster(address, 1, patience=1.0):
        pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageRefused, match=r"spinecast\[dask\]"), cluster(None, 1):
        pass


def test_nothing_of_dask_is_imported_before_it_is_asked_for():
    code = (
        "import sys, spinecast.cluster; print('dask' in sys.modules, 'distributed' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_while_workers_start_stops_when_they_have(tmp_path, number):
    cohort, out = tmp_path / "cohort", tmp_path / "scratch"
    cohort.mkdir()
    out.mkdir()
    simulate(load_registry(), 60, 1).frame().to_parquet(cohort / "a.parquet")
    words = ["-m", "spinecast", "check", str(cohort), "--engine", "dask", "--processes", "2"]
    process = subprocess.Popen(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "TMPDIR": str(out)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: len(_group(process.pid)) >= 3)  # a worker and multiprocessing's own, besides
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == ""
    assert said.startswith("Stopped. ")
    assert said.count("\n") == 1
    assert list(out.iterdir()) == []


def _group(leader):
    """The processes of a group."""
    told = subprocess.run(["pgrep", "-g", str(leader)], capture_output=True, text=True, check=False)
    return told.stdout.split()


def at_work(folder):
    """A program whose workers have begun to work, in a group of its own."""
    code = (
        "import time\n"
        "from spinecast.cluster import cluster\n"
        "if __name__ == '__main__':\n"
        "    with cluster(None, 2) as share:\n"
        "        for answer in share(time.sleep, [0.2] * 500):\n"
        "            print('begun', flush=True)\n"
    )
    program = folder / "program.py"
    program.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A program begun in the background of a shell would not heed it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_ctrl_c_ends_everybody_quietly(tmp_path):
    process = at_work(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everybody at once
    _, told = process.communicate(timeout=30)
    assert told.count("Traceback") == 1  # this process's own; the command line words it
    assert told.rstrip().endswith("KeyboardInterrupt")
    wait_for(lambda: not _lives(process.pid), 10)


def test_workers_end_with_a_program_that_is_killed(tmp_path):
    process = at_work(tmp_path)
    assert len(_group(process.pid)) > 2
    process.kill()
    process.communicate(timeout=30)
    wait_for(lambda: not _lives(process.pid), 30)


def _lives(group):
    """Whether anybody of a group of processes is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_command_says_the_same_by_a_cluster(tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    simulate(load_registry(), 60, 1).frame().to_parquet(folder / "a.parquet")
    told = [
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "spinecast", "check", str(folder), *more],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            check=True,
        )
        for more in ([], ["--engine", "dask", "--processes", "2"])
    ]
    assert told[0].stdout == told[1].stdout
    assert told[0].stderr == told[1].stderr
