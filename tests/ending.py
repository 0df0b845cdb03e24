"""Faults: commands that are killed, work that ends its process, schedulers and workers to end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import xgboost

import spinecast
from spinecast.cluster import Cluster
from spinecast.errors import DataRefused, Problem

SOURCE = Path(spinecast.__file__).parents[1]


def end_once(flag):
    """End this process as the machine does when memory is short, unless somebody was ended."""
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class Ending(Cluster):
    """A cluster that loses a worker while it works on some of the questions it is asked."""

    def __init__(self, client, folder, questions=(0,)):
        super().__init__(client)
        self.folder, self.questions, self.asked = folder, questions, 0

    def __call__(self, work, tasks, /):
        flag = self.folder / f"ended {self.asked}"
        ends = self.asked in self.questions
        self.asked += 1
        return super().__call__(partial(_ending, work, flag) if ends else work, tasks)

    def ended(self):
        """How many workers were."""
        return len(list(self.folder.glob("ended *")))


def _ending(work, flag, task):
    end_once(flag)
    return work(task)


def square(number):
    return number * number


def refuse(problem: Problem):
    raise DataRefused("The cohort is refused", [problem])


def divide(number):
    return 1 / number


def exhaust(number):
    """A task no worker survives."""
    os.kill(os.getpid(), signal.SIGKILL)


def bulk(megabytes):
    return np.zeros(megabytes * 1024**2, dtype=np.uint8)


class EndAt(xgboost.callback.TrainingCallback):
    """Ends the worker of a rank after some rounds."""

    def __init__(self, flag, rank):
        self.flag, self.rank = flag, rank

    def after_iteration(self, model, epoch, log):
        if epoch == 5 and xgboost.collective.get_rank() == self.rank:
            end_once(self.flag)
        return False


def grow(rounds, ending, lot, scratch):
    """Trees from patients of these seeds, in the way of a large training: cuts are given."""
    every = np.tile(np.arange(-9, 10, dtype=np.float32)[:, None], 4)
    cuts = xgboost.QuantileDMatrix(every, nthread=1)
    codes, y = (np.concatenate(column) for column in zip(*map(patients, lot), strict=True))
    matrix = xgboost.QuantileDMatrix(codes, label=y, ref=cuts, nthread=1)
    settings = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 3, "nthread": 1}
    booster = xgboost.train(settings, matrix, rounds, callbacks=ending)
    return booster.save_raw("json").decode()


def patients(seed):
    random = np.random.default_rng(seed)
    codes = np.clip(random.normal(scale=4, size=(500, 4)).round(), -9, 9) + 0.0
    chance = 1 / (1 + np.exp(-codes[:, 0] / 4 - (codes[:, 1] > 2) * (codes[:, 2] > 0)))
    return codes.astype(np.float32), (random.random(500) < chance).astype(np.float32)


def misused(lot, scratch):
    """An error of XGBoost's that has nothing to do with who is there."""
    matrix = xgboost.DMatrix(np.zeros((2, 1)), label=[0, 1], nthread=1)
    return xgboost.train({"objective": "no such thing", "nthread": 1}, matrix)


class FullAt(xgboost.callback.TrainingCallback):
    """The disk of a rank is full after some rounds."""

    def __init__(self, rank):
        self.rank = rank

    def after_iteration(self, model, epoch, log):
        if epoch == 5 and xgboost.collective.get_rank() == self.rank:
            fill()
        return False


def fill():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_later(lot, scratch):
    """One member fails, and the other, who lost it, is the first to say so."""
    if xgboost.collective.get_rank() == 0:
        raise xgboost.core.XGBoostError("/src/collective/comm.cc:1: Connection closed by peer.")
    time.sleep(2.0)
    fill()


def linger(folder, lot, scratch):
    """A member that is at work and comes to no end."""
    (folder / f"member {lot[0]}").touch()
    time.sleep(120.0)


def process(*words, **more):
    """The command in a process of its own."""
    return _piped("-m", "spinecast", *words, **more)


def _piped(*words, **more):
    command = [sys.executable, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **more)


# Told by the command itself, so it is killed there and nowhere later, however busy the machine.
DEADLY = """
import os, signal, sys
from spinecast import cli, console

def tell(self, stage, done, total):
    told(self, stage, done, total)
    if (stage, str(done)) == end:
        os.kill(os.getpid(), signal.SIGKILL)

told, console.Teller.__call__ = console.Teller.__call__, tell
end, sys.argv[1:] = tuple(sys.argv[1:3]), sys.argv[3:]
cli.main()
"""


def killed_at(stage, done, *words, **more):
    """A command that is killed (`kill -9`) when it says that so much of a stage is done."""
    with _piped("-c", DEADLY, stage, done, *words, **more) as command:
        _, said = command.communicate(timeout=120)
    assert command.returncode == -signal.SIGKILL, said


def wait_for(true, seconds=60):
    """Wait until it is true."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


@contextmanager
def started(*command):
    """A process, ended at the end."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def scheduler(folder):
    """A scheduler without workers: its process, and its address."""
    file = folder / "scheduler.json"
    command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with started(*command, "--no-dashboard", "--scheduler-file", str(file)) as process:
        wait_for(lambda: process.poll() is not None or (file.exists() and file.read_text().strip()))
        assert process.poll() is None
        yield process, json.loads(file.read_text())["address"]


def worker(address, version=None, python=None):
    """A worker of this version, or of one that says it is another."""
    lines = ["import platform, spinecast", "from distributed.cli.dask_worker import main"]
    if version:
        lines.append(f"spinecast.__version__ = {version!r}")
    if python:
        lines.append(f"platform.python_version_tuple = lambda: {python!r}")
    options = [address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    lines.append(f"main({options})")
    return started("-c", "\n".join(lines))
