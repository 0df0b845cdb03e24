"""A model folder gives back the very model, is whole or not there, and is refused when touched."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from spinecast.errors import ModelRefused, UsageRefused
from spinecast.explaining import bundle
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.explaining.current import CURRENT, Current
from spinecast.explaining.manifest import MANIFEST
from spinecast.files import FORMER, STALE, UNFINISHED

TINY = Path(__file__).parent / "tiny_registry"
LISTED = ["facts.json", "model.json", "population.json", "refits.csv", "training.json"]
LISTED += ["trees.json", "registry/registry.toml", "registry/factors/mind.toml"]


@pytest.fixture
def write(trained, tmp_path):
    """Write the model to a folder of this name; its path."""

    def written(name="model", model=trained.model, booster=trained.booster, **options):
        folder = tmp_path / name
        write_bundle(folder, model, trained.facts, booster, trained.training, **options)
        return folder

    return written


@pytest.fixture
def folder(bundle_folder, tmp_path):
    """A copy of the model to spoil."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def refusal(folder: Path, *options) -> str:
    """What is said about a folder that is no good; always without a traceback of ours."""
    with pytest.raises(ModelRefused) as refused:
        read_bundle(folder, *options)
    assert refused.value.exit_code == 4
    assert refused.value.problems
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


def resign(folder: Path, **told) -> None:
    """A manifest that fits the files, as somebody who knows how would forge it."""
    manifest = json.loads((folder / MANIFEST).read_text())
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found
    }
    text = json.dumps(files, ensure_ascii=False, indent=1) + "\n"
    manifest |= {"files": files, "id": hashlib.sha256(text.encode()).hexdigest()[:12]} | told
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def edited(path: Path, edit) -> None:
    told = json.loads(path.read_text())
    edit(told)
    path.write_text(json.dumps(told), encoding="utf-8")


# --- there and back ------------------------------------------------------------------------------


def test_a_model_read_back_answers_bit_for_bit_the_same(trained, bundle_folder, candidates):
    here = trained.explainer.score(candidates[:2000])
    there = read_bundle(bundle_folder).explainer.score(candidates[:2000])
    for part in ("margin", "risk", "low", "high", "centile", "log_odds", "literature"):
        np.testing.assert_array_equal(getattr(there, part), getattr(here, part))
    np.testing.assert_array_equal(there.risk_points, here.risk_points)
    assert [*map(list, there.doubts.combined(()))] == [*map(list, here.doubts.combined(()))]


def test_records_read_back_are_the_same_but_for_the_name_of_the_model(
    trained, bundle_folder, candidates
):
    mine, theirs = trained.explainer, read_bundle(bundle_folder).explainer
    for row in range(10):
        here = mine.explain(mine.score(candidates[row : row + 1]), 0)
        there = theirs.explain(theirs.score(candidates[row : row + 1]), 0)
        assert replace(there, model=here.model) == here


def test_every_part_of_a_model_comes_back(trained, bundle_folder):
    model = read_bundle(bundle_folder).explainer.model
    for part in ("beta", "literature"):
        np.testing.assert_array_equal(getattr(model, part), getattr(trained.model, part))
    for part in fields(model.refits):
        np.testing.assert_array_equal(
            getattr(model.refits, part.name), getattr(trained.model.refits, part.name)
        )
    assert model.intercept == trained.model.intercept
    assert model.level == trained.model.level
    assert model.recalibration == trained.model.recalibration
    assert model.registry.id == trained.model.registry.id
    assert model.encoding.columns == trained.model.encoding.columns


def test_how_it_was_made_comes_back(trained, bundle_folder):
    assert read_bundle(bundle_folder).training == trained.training


def test_written_twice_it_is_the_same_byte_for_byte(write):
    assert contents(write("one")) == contents(write("two"))


def test_the_id_is_that_of_the_content(write, trained):
    one, two = write("one"), write("two", replace(trained.model, level=0.8))
    ids = [read_bundle(folder).explainer.identity.id for folder in (one, two)]
    assert ids[0] != ids[1]
    assert ids[0] == json.loads((one / MANIFEST).read_text())["id"]


def test_a_model_without_trees_has_no_file_of_them(write, trained):
    trees = trained.model.trees.fold([], np.zeros(len(trained.model.registry.names)))
    folder = write(model=replace(trained.model, trees=trees), booster=None)
    assert not (folder / "trees.json").exists()
    assert len(read_bundle(folder).explainer.model.trees) == 0


@pytest.mark.parametrize("refits", [0, 1])
def test_a_model_with_hardly_any_refits_comes_back(write, trained, refits):
    kept = {f.name: getattr(trained.model.refits, f.name)[:refits] for f in fields(bundle.Refits)}
    folder = write(model=replace(trained.model, refits=bundle.Refits(**kept)))
    assert len(read_bundle(folder).explainer.model.refits) == refits


def test_everything_in_the_folder_is_text_and_nothing_is_pickled(bundle_folder):
    for name, content in contents(bundle_folder).items():
        assert name.endswith((".json", ".csv", ".toml"))
        text = content.decode("utf-8")
        if name.endswith(".json"):
            json.loads(text)
        assert "\0" not in text
    assert {"pickle", "joblib"}.isdisjoint(vars(bundle))


def test_others_may_read_the_folder(write):
    assert write().stat().st_mode & 0o777 == 0o755


def test_the_folder_has_no_patient_in_it(bundle_folder, registry):
    """Coefficients and counts only: nothing is as long as the cohort."""
    lengths = [
        content.count(b"\n")
        for name, content in contents(bundle_folder).items()
        if name.endswith(".csv")
    ]
    assert lengths == [21]


# --- what was touched is refused -----------------------------------------------------------------


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("spoil", ["one bit", "a byte more", "half of it", "emptied", "deleted"])
def test_a_touched_file_is_refused_and_named(folder, name, spoil):
    path = folder / name
    content = path.read_bytes()
    middle = len(content) // 2
    match spoil:
        case "one bit":
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "a byte more":
            path.write_bytes(content + b"\n")
        case "half of it":
            path.write_bytes(content[:middle])
        case "emptied":
            path.write_bytes(b"")
        case "deleted":
            path.unlink()
    said = refusal(folder)
    assert name in said
    assert ("missing" if spoil == "deleted" else "altered") in said


def test_every_file_of_the_folder_is_guarded(folder, bundle_folder):
    """Whatever file it is, one altered bit of it is found; the manifest's too."""
    for name, content in contents(bundle_folder).items():
        (folder / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        assert name in refusal(folder)
        (folder / name).write_bytes(content)
    assert read_bundle(folder)


@pytest.mark.parametrize("name", ["notes.txt", "registry/more.toml", ".hidden", "model.pkl"])
def test_a_file_that_is_not_the_models_is_refused_and_named(folder, name):
    (folder / name).write_text("hello")
    assert f"{name}: not in the manifest" in refusal(folder)


def test_all_that_is_wrong_is_said_at_once(folder):
    (folder / "facts.json").unlink()
    (folder / "model.json").write_text("{}")
    (folder / "extra.txt").write_text("")
    said = refusal(folder)
    assert "3 problems" in said
    assert all(name in said for name in ("facts.json", "model.json", "extra.txt"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"x"', "{}", '{"format": 1}', '{"format": 1, "files": []}'],
)
def test_a_manifest_that_is_no_manifest_is_refused(folder, text):
    (folder / MANIFEST).write_text(text)
    assert MANIFEST in refusal(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"\0" * 50, b"[" * 100_000])
def test_a_manifest_of_bytes_or_of_brackets_is_refused(folder, content):
    (folder / MANIFEST).write_bytes(content)
    assert MANIFEST in refusal(folder)


@pytest.mark.parametrize("given", ["1", None, 0.5, True, [], {}, -1, 0])
def test_a_format_that_is_none_is_refused(folder, given):
    edited(folder / MANIFEST, lambda told: told.update(format=given))
    assert MANIFEST in refusal(folder)


def test_a_newer_format_says_which_program_can_read_it(folder):
    edited(folder / MANIFEST, lambda told: told.update(format=2, spinecast="9.1"))
    said = refusal(folder)
    assert "format 2" in said
    assert "Update spinecast to 9.1 or later." in said


@pytest.mark.parametrize("key", ["id", "files", "spinecast", "format"])
def test_a_manifest_that_lacks_a_part_is_refused(folder, key):
    edited(folder / MANIFEST, lambda told: told.pop(key))
    assert refusal(folder)


def test_an_id_that_is_not_the_files_own_is_refused(folder):
    edited(folder / MANIFEST, lambda told: told.update(id="0123456789ab"))
    assert "its id must be that of its files" in refusal(folder)


def test_what_is_not_a_model_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("hello")
    for name in ("empty", "file", "absent"):
        said = refusal(tmp_path / name)
        assert name in said
        assert "spinecast train" in said


def test_the_registry_of_another_disease_is_refused(bundle_folder, registry):
    said = refusal(bundle_folder, TINY)
    assert "tiny-1" in said
    assert registry.id in said
    assert read_bundle(bundle_folder, registry.folder)


# --- signed, but broken --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{}", "[]", "null", "{", "7", ""])
@pytest.mark.parametrize("name", [name for name in LISTED if name.endswith(".json")])
def test_broken_content_that_was_signed_anew_is_refused(folder, name, text):
    (folder / name).write_text(text)
    resign(folder)
    assert folder.name in refusal(folder)


def test_every_entry_of_every_file_is_needed(folder):
    """One after the other is taken out, and the folder signed anew."""
    # For people: nothing is computed with them.
    optional = {
        ("training.json", "data"),
        ("model.json", "margin"),
        ("population.json", "schema"),
    }
    for name in ("model.json", "facts.json", "population.json", "training.json"):
        content = (folder / name).read_text()
        for key in json.loads(content):
            if (name, key) in optional:
                continue
            edited(folder / name, lambda told, key=key: told.pop(key))
            resign(folder)
            assert refusal(folder), (name, key)
            (folder / name).write_text(content)


SPOILT = {
    "too few columns": ("model.json", lambda told: told["columns"].pop()),
    "no columns": ("model.json", lambda told: told.update(columns=[])),
    "columns in another order": ("model.json", lambda told: told["columns"].reverse()),
    "a text for a coefficient": (
        "model.json",
        lambda told: told["columns"][0].update(coefficient="high"),
    ),
    "no coefficient": ("model.json", lambda told: told["columns"][0].update(coefficient=None)),
    "a coefficient that is no number": (
        "model.json",
        lambda told: told["columns"][0].update(coefficient=float("nan")),
    ),
    "an infinite intercept": ("model.json", lambda told: told.update(intercept=float("inf"))),
    "a text for the intercept": ("model.json", lambda told: told.update(intercept="low")),
    "a level of 1.5": ("model.json", lambda told: told.update(interval_level=1.5)),
    "a slope of 0": ("model.json", lambda told: told["recalibration"].update(slope=0)),
    "too few quantiles": ("facts.json", lambda told: told.update(risk_quantiles=[])),
    "too few factors seen": ("facts.json", lambda told: told["seen_low"].pop()),
    "too few counts": ("facts.json", lambda told: told["counts"].pop()),
    "too few verdicts": ("facts.json", lambda told: told["agreement"].pop()),
    "trained on guesses": ("facts.json", lambda told: told.update(trained_on="guesses")),
    "an outcome nobody knows": ("training.json", lambda told: told.update(outcome="luck")),
    "no trees in the trees": ("trees.json", lambda told: told["learner"].pop("gradient_booster")),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_model_that_cannot_be_meant_is_refused_when_it_is_read(folder, what):
    """Not only when the first patient comes, and never with a wrong answer."""
    name, edit = SPOILT[what]
    edited(folder / name, edit)
    resign(folder)
    assert refusal(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b",", b";"), (b"\n", b"\nabc,"), (b"intercept", b"slope"), (b"0.", b"nan,0.")],
)
def test_refits_that_cannot_be_read_are_refused(folder, old, new):
    path = folder / "refits.csv"
    lines = path.read_bytes().split(b"\n", 1)
    path.write_bytes(lines[0].replace(old, new) + b"\n" + lines[1].replace(old, new))
    resign(folder)
    assert folder.name in refusal(folder)


def test_a_registry_that_was_broken_and_signed_is_refused(folder):
    (folder / "registry" / "factors" / "mind.toml").write_text("[depression\n")
    resign(folder)
    assert "mind.toml" in refusal(folder)


def test_another_registry_inside_a_model_is_refused(folder):
    shutil.rmtree(folder / "registry")
    shutil.copytree(TINY, folder / "registry")
    resign(folder)
    assert folder.name in refusal(folder)


# --- written whole or not at all -----------------------------------------------------------------


def usage(write, *names, **options) -> str:
    with pytest.raises(UsageRefused) as refused:
        write(*names, **options)
    assert refused.value.exit_code == 2
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


def test_a_model_is_never_replaced_unasked(write, trained):
    folder = write()
    before, changed = contents(folder.parent), folder.stat().st_mtime_ns
    said = usage(write, model=replace(trained.model, level=0.8))
    assert "--replace" in said
    assert contents(folder.parent) == before
    assert folder.stat().st_mtime_ns == changed


def test_a_model_gives_way_to_a_model_when_asked_to(write, trained):
    old = read_bundle(write()).explainer
    folder = write(model=replace(trained.model, level=0.8), replace=True)
    new = read_bundle(folder).explainer
    assert (old.model.level, new.model.level) == (0.9, 0.8)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_spoilt_model_may_be_replaced(write):
    folder = write()
    (folder / "model.json").write_text("{")
    write(replace=True)
    assert read_bundle(folder)


def test_the_model_in_use_is_never_replaced_and_its_neighbours_may_be(write):
    folder, other = write(), write("other")
    before = contents(folder)
    in_use = Current(folder.name, "some id", "some hash", 1, "some hash")
    (folder.parent / CURRENT).write_text(in_use.text())
    said = usage(write, replace=True)
    assert "it is in use" in said
    assert "spinecast promote" in said
    assert contents(folder) == before
    assert write("other", replace=True) == other


@pytest.mark.parametrize("options", [{}, {"replace": True}])
@pytest.mark.parametrize("kind", ["folder", "empty folder", "file"])
def test_what_is_not_a_model_is_not_replaced(write, tmp_path, kind, options):
    thing = tmp_path / "model"
    if kind == "file":
        thing.write_text("thesis")
    else:
        thing.mkdir()
        if kind == "folder":
            (thing / "thesis.txt").write_text("thesis")
    before = contents(tmp_path)
    said = usage(write, **options)
    assert "not a model" in said  # --replace would not help, so it is not named
    assert contents(tmp_path) == before
    assert thing.exists()


@pytest.mark.parametrize("place", ["write_text", "copyfile", "replace", "chmod"])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_is_told_and_leaves_everything_as_it_was(
    write, tmp_path, monkeypatch, place, there
):
    if there:
        write()
    before = contents(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil if place == "copyfile" else Path, place, full)
        said = usage(write, replace=there)
    assert "no space left on device" in said
    assert str(tmp_path / "model") in said
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == there
    assert read_bundle(write(replace=there))


def test_when_the_new_model_cannot_take_its_place_the_old_one_keeps_it(
    write, tmp_path, monkeypatch
):
    before = contents(write())
    rename = Path.replace

    def refuse_second(path, target):
        if FORMER not in str(target) and FORMER not in path.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse_second)
        assert "permission denied" in usage(write, replace=True)
    assert contents(tmp_path / "model") == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_in_place_of_the_folder_above_is_told(write, tmp_path):
    (tmp_path / "file").write_text("")
    assert "not written" in usage(write, "file/model")


def test_a_bug_while_writing_leaves_nothing_behind(write, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "write_registry", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


# --- killed --------------------------------------------------------------------------------------

# Reads a model and, in one child after the other, writes it again; each child kills itself at its
# own next step of writing, having done half of it. So every moment is tried, at one start.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.errors import ModelRefused

source, target, there = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "there"
read = read_bundle(source)
booster = (source / "trees.json").read_text(encoding="utf-8")
model, facts = read.explainer.model, read.explainer.facts

def write(replace):
    write_bundle(target, model, facts, booster, read.training, replace=replace)

def deadly(step):
    steps = iter(range(1000))
    def wrapped(work, half):
        def then(*given, **named):
            if next(steps) == step:
                half(*given)
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*given, **named)
        return then
    def some(path, text, **_):
        path.write_bytes(text.encode()[: len(text) // 2])
    Path.write_text = wrapped(Path.write_text, some)
    shutil.copyfile = wrapped(shutil.copyfile, lambda _, copy: copy.write_bytes(b"["))
    Path.replace = wrapped(Path.replace, lambda *_: None)
    shutil.rmtree = wrapped(shutil.rmtree, lambda folder, **_: next(folder.rglob("*.json")).unlink()
                            if folder.exists() else None)

if there:
    write(replace=False)
for step in range(1000):
    child = os.fork()
    if child == 0:
        deadly(step)
        write(replace=there)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    found = target.exists()
    if found:
        read_bundle(target)
        if not there:
            shutil.rmtree(target)
    visible = [path.name for path in target.parent.iterdir() if path.name[0] != "."]
    assert visible in ([], [target.name]), visible
    print("whole" if found else "none")
"""


@pytest.mark.parametrize("there", ["there", "new"])
def test_killed_at_any_moment_it_is_whole_or_not_there_and_can_be_written_again(
    bundle_folder, tmp_path, there
):
    target = tmp_path / "models" / "model"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(bundle_folder), str(target), there],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert len(told) > len(LISTED)
    if there == "there":
        # Between the two renames the old model stands aside, until the next write puts it back;
        # which makes that child one step later, and it is killed at the same moment again.
        assert told.count("none") == 2
    assert read_bundle(target)


def test_what_a_kill_left_behind_is_cleared_away_once_it_is_old(write, tmp_path):
    for name, age in (("abcdefgh", STALE + 60), ("ijklmnop", 60)):
        left = tmp_path / f".model{UNFINISHED}{name}"
        left.mkdir()
        (left / "model.json").write_text("{")
        os.utime(left, (time.time() - age,) * 2)
    write()
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [f".model{UNFINISHED}ijklmnop", "model"]


def test_a_model_caught_between_two_renames_is_put_back_and_not_lost(write, tmp_path):
    folder = write()
    before = contents(folder)
    folder.rename(tmp_path / f".model{UNFINISHED}abcdefgh{FORMER}")
    assert "it exists" in usage(write)
    assert contents(folder) == before


@pytest.mark.parametrize("name", [".model.backup", f".model.2{UNFINISHED}abcdefgh", ".git", "old"])
def test_tidying_touches_nothing_of_anybody_else(write, tmp_path, name):
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    write()
    write("[a-z]*")
    assert (tmp_path / name).is_dir()
