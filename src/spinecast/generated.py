"""The files of `data/` that are written by the program, so that they cannot differ from it.

python -m spinecast.generated            write them
python -m spinecast.generated --check    say which are not what would be written
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from spinecast.files import write_text
from spinecast.handbook.dictionary import dictionary
from spinecast.knowledge.loading import load_registry
from spinecast.patients.tables import write_table
from spinecast.simulator.synthetic import SimulatedCohort, simulate

DATA = Path("data")
# The committed cohort: large enough to learn something, small enough to train in half a minute.
PATIENTS, SEED = 1_000, 2026


def _dictionary(path: Path) -> None:
    write_text(path, dictionary(load_registry()))


def _cohort(path: Path) -> None:
    write_table(_simulated().frame(), path)


def _truth(path: Path) -> None:
    write_table(_simulated().truth_frame(), path)


def _simulated() -> SimulatedCohort:
    return simulate(load_registry(), PATIENTS, SEED)


FILES: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        "dictionary.md": _dictionary,
        "synthetic/cohort.csv": _cohort,
        "synthetic/truth.csv": _truth,
    }
)


def write_all(folder: Path) -> None:
    """Write every generated file into a folder."""
    for name, write in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name)


def stale(folder: Path) -> list[str]:
    """The generated files that are not, byte for byte, what would be written now."""
    with tempfile.TemporaryDirectory() as scratch:
        write_all(Path(scratch))
        return [name for name in FILES if not _same(folder / name, Path(scratch) / name)]


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.read_bytes() == other.read_bytes()


def main() -> None:
    """Write the files, or with `--check` exit 1 when one is stale."""
    if "--check" not in sys.argv[1:]:
        write_all(DATA)
    elif found := stale(DATA):
        sys.exit(f"Not as generated: {', '.join(found)}. Run `make generate`.")


if __name__ == "__main__":
    main()
