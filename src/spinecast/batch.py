"""Files in, files out: many patients at once, in columns, none of them stopping the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spinecast.assessment import Assessment
from spinecast.cohort import CheckedCohort, check_table
from spinecast.errors import DataRefused, Problem, UsageRefused
from spinecast.explanation import Scores
from spinecast.scoring import Scorer
from spinecast.tables import file_fingerprint, read_table, write_table
