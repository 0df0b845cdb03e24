"""The public SUPPORT2 file as a cohort of this registry.

    python prepare.py support2.csv cohort.csv

Names change, 0/1 deaths become no/yes and blanks around cells go. No value is changed, no patient
dropped; columns not known on the third day, or that say again what another says, stay behind.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

# fmt: off
LATER = [
    "death", "slos", "d.time", "charges", "totcst", "totmcst", "avtisst", "sps", "aps", "surv2m",
    "surv6m", "prg2m", "prg6m", "dnr", "dnrday", "sfdm2", "adlp", "adls",
]
# fmt: on
TOLD_BY_DZGROUP = ["dzclass"]
DEAD = {"0": "no", "1": "yes", "": ""}


def prepared(row: dict[str, str]) -> dict[str, str]:
    """One patient under the registry's names."""
    answers = {name: cell.strip() for name, cell in row.items()}
    cohort = {"patient_id": answers.pop("sno"), "hospdead": DEAD[answers.pop("hospdead")]}
    left_out = {*LATER, *TOLD_BY_DZGROUP}
    return cohort | {k.replace(".", "_"): v for k, v in answers.items() if k not in left_out}


def main(source: str, target: str) -> None:
    """Write the cohort; the source is read once and stays as it is."""
    with Path(source).open(encoding="utf-8", newline="") as file:
        rows = [prepared(row) for row in csv.DictReader(file, skipinitialspace=True)]
    with Path(target).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
