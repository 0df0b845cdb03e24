"""The command line: words to calls, errors to exit codes. Nothing is computed or worded here.

Exit codes: 0 done; 2 wrong use; 3 the data was refused; 4 the model was refused; 1 a bug, or
whoever did the work was lost (a process or a scheduler that was ended); 130 stopped. What a command
needs is imported inside it, so that `--help` and a single patient do not wait for the rest.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import click

from spinecast import __version__
from spinecast.cli import cohorts, models, registry, use
from spinecast.errors import SpinecastError, UsageRefused

STOPPED = 130


def main() -> None:
    """Run a command; people's errors become sentences and exit codes, never a traceback."""
    if threading.current_thread() is threading.main_thread():
        # Time limits and cluster managers end a program so; it clears away as after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Not `commands.main`: it keeps exit codes and broken pipes to itself.
        with commands.make_context("spinecast", sys.argv[1:]) as context:
            commands.invoke(context)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(UsageRefused.exit_code)
    except SpinecastError as refused:
        click.echo(str(refused), err=True)
        sys.exit(refused.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            "Stopped. Nothing was left half-written, and what was finished stands; "
            "run the command again.",
            err=True,
        )
        sys.exit(STOPPED)
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        click.echo("There is not enough memory for this file: give it in parts.", err=True)
        sys.exit(UsageRefused.exit_code)
    except Exception as bug:
        if os.environ.get("SPINECAST_TRACEBACK"):
            raise
        _leave(bug)


def _leave(bug: Exception) -> NoReturn:
    """Say what went wrong where nobody foresaw it, or where a lean install lacks a package."""
    if isinstance(bug, ModuleNotFoundError):
        click.echo(
            f"This command needs {bug.name}, which a lean install leaves out. Install everything "
            "(requirements.lock).",
            err=True,
        )
        sys.exit(UsageRefused.exit_code)
    click.echo(
        f"This is a bug in spinecast {__version__}: {type(bug).__name__} in {_place(bug)}.\n"
        "Please report this line. `export SPINECAST_TRACEBACK=1` shows more; that may quote "
        "patients' data, so read it before you pass it on.",
        err=True,
    )
    sys.exit(SpinecastError.exit_code)


def _place(bug: Exception) -> str:
    """Where an exception was raised, without what it says: that may quote a patient's answers."""
    frames = traceback.extract_tb(bug.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


@click.group(
    commands=[
        registry.factors,
        registry.template,
        cohorts.simulate,
        cohorts.map_columns,
        cohorts.check,
        models.train,
        models.update,
        models.validate,
        use.score,
        use.serve,
        use.promote,
        use.rollback,
        use.history,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="spinecast")
def commands() -> None:
    """Risk of failed back surgery syndrome before lumbar surgery, explained factor by factor."""
