"""How much is done at once: rows held at a time, and processes, within so many bytes of memory."""

from __future__ import annotations

from dataclasses import dataclass

from spinecast.errors import Problem, UsageRefused

MEMORY = 2_000_000_000
"""Bytes to be used if nothing is said: a laptop has them to spare."""
FIXED = 290_000_000
"""Bytes of each process before it reads a row: Python and its libraries."""
A_SAMPLED = 1_000
"""Bytes of a patient in the sample: as sent back, and as put together."""
WHOLE_ROW = 2_500
"""Bytes of a row of a file that is read at once.

These, and what a row takes in `READING`, are peak memory on a million simulated patients in 48
columns (`make bench-scale`), with room to spare: a row read in parts took 420 bytes where none was
rejected, a patient in the sample 830, and a row of a file read at once 1,700.
"""
FEWEST_AT_ONCE = 1_000
"""Fewer rows at once cost more time than they save memory."""


@dataclass(frozen=True, slots=True)
class Toll:
    """What going through a cohort takes.

    Attributes:
        row: bytes of a row while it is worked on.
        most: rows at once beyond which nothing is gained.
        worth: rows from which another process is worth its start.
    """

    row: int
    most: int
    worth: int


READING = Toll(row=1_500, most=131_072, worth=500_000)
SCORING = Toll(row=8_000, most=65_536, worth=50_000)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a command may take: bytes of memory, and processes; None where that is left to us."""

    memory: int
    processes: int | None = None

    def shared_by(self, toll: Toll, rows: int, parts: int, usable: int, sampled: int = 0) -> int:
        """How many processes share the work on so many rows in so many parts.

        As many as were asked for; else as many of the usable ones as are worth their start and fit.
        """
        if self.processes is not None:
            return self.processes
        most = max(1, min(usable, parts, rows // toll.worth))
        fits = (many for many in range(most, 1, -1) if self._rows(toll, many, sampled) > 0)
        return next(fits, 1)

    def rows_at_once(self, toll: Toll, processes: int, sampled: int = 0) -> int:
        """How many rows each of the processes holds at a time, each beside this one.

        Raises:
            UsageRefused: the memory does not suffice for any number worth reading.
        """
        rows = self._rows(toll, processes, sampled)
        if rows <= 0:
            needed = _fixed(processes, sampled) + FEWEST_AT_ONCE * toll.row * processes
            among = f"{processes} process{'es' if processes > 1 else ''}"
            kept = f" with {sampled:,} patients in memory" if sampled else ""
            problem = Problem(
                "--memory",
                f"{self.memory / 1e6:,.0f} MB",
                f"at least {needed / 1e6:,.0f} MB are needed by {among}{kept}",
                "Give more, or --processes 1." if processes > 1 else "Give more.",
            )
            raise UsageRefused("The memory does not suffice", [problem])
        return rows

    def _rows(self, toll: Toll, processes: int, sampled: int) -> int:
        """The same; 0 where it does not suffice."""
        rows = (self.memory - _fixed(processes, sampled)) // (toll.row * processes)
        return min(rows, toll.most) if rows >= FEWEST_AT_ONCE else 0


def _fixed(processes: int, sampled: int) -> int:
    """Bytes that are taken whatever is read at once: a process that shares works beside this."""
    return FIXED * (processes + (processes > 1)) + A_SAMPLED * sampled
