"""Scale: what large cohorts cost in time and memory, beside peers. Run with `make bench-scale`.

One table, each line as it is measured. Whatever is measured runs in processes of its own, so that
their memory is their own. Seconds depend on the machine and on what else runs there; ratios much
less. The default sizes take about 25 minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from measured import HEAD, Line
from scale_checking import checking
from scale_clusters import clusters
from scale_growth import growth
from scale_scoring import scoring
from scale_training import training

SECTIONS: dict[str, Callable[[Path, int], Iterator[Line]]] = {
    "checking": checking,
    "scoring": scoring,
    "training": training,
    "growth": growth,
    "clusters": clusters,
}
LARGER = ("scoring", "training")
"""What `--large` measures on ten times as many rows too; growth goes that much farther."""


def main() -> None:
    """Print every section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cluster-rows", type=int, default=200_000, help="for the clusters")
    parser.add_argument("--large", action="store_true", help="also ten times as many rows")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--folder", type=Path, help="where there is room; else temporary files")
    parser.add_argument("--plot", type=Path, help="draw the growth into this SVG file")
    given = parser.parse_args()
    sections = SECTIONS | {"growth": partial(growth, plot=given.plot)}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n{HEAD}")
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        for name in given.only:
            rows = given.cluster_rows if name == "clusters" else given.rows
            sizes = [rows]
            if given.large and name == "growth":
                sizes = [10 * rows]
            elif given.large and name in LARGER:
                sizes = [rows, 10 * rows]
            for size in sizes:
                for line in sections[name](Path(scratch), size):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
