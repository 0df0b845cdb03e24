"""Runs a program and prints what it cost, as JSON: seconds on the wall, of all cores, peak bytes.

Memory is that of the program and of all processes it started, at their common peak. To be run as a
process of its own: what the system itself calls a child's peak begins with that of its parent.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY = 0.05
"""Seconds between two looks at memory."""


class Watch(threading.Thread):
    """Looks at the memory of a process and its children for as long as the block lasts."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._process, self._over = process, threading.Event()

    def run(self) -> None:
        """Look until the block is over."""
        while not self._over.wait(EVERY):
            self.peak = max(self.peak, _resident(self._process))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.join()


def _resident(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_resident, map(int, children)))


def main() -> None:
    """Run the words given."""
    words, start = sys.argv[1:], time.perf_counter()
    silent = subprocess.DEVNULL
    run = subprocess.Popen(words, stdout=silent, stderr=silent)  # noqa: S603 - our own programs
    with Watch(run.pid) as watch:
        run.wait()
    wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        sys.exit(f"{words} ended with {run.returncode}")
    print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": watch.peak}))


if __name__ == "__main__":
    main()
