"""A file appears whole or not at all, and a failed write leaves the old one as it was."""

from __future__ import annotations

import errno
import os

import pytest

from spinecast.errors import UsageRefused
from spinecast.files import reason, whole_file, write_text

OLD = "as it was"


@pytest.fixture(params=[True, False], ids=["old file", "no old file"])
def path(request, tmp_path):
    """Where a file is to be written, once with an old one there and once without."""
    place = tmp_path / "out.txt"
    if request.param:
        place.write_text(OLD)
    return place


def left(path):
    """What is in the folder after all."""
    return {found.name: found.read_text() for found in path.parent.iterdir()}


def before(path):
    return {path.name: OLD} if path.exists() else {}


def half_written(path, error):
    with whole_file(path) as unfinished:
        unfinished.write_text("half")
        raise error


def test_a_file_takes_its_name_at_the_end(path):
    there = before(path)
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
        assert unfinished.parent == path.parent
        assert {name: text for name, text in left(path).items() if name[0] != "."} == there
    assert left(path) == {"out.txt": "new"}


def test_the_file_written_is_the_one_that_takes_the_name(path):
    """A rename: nobody can ever read half of it, and who is reading the old one goes on."""
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
        written = unfinished.stat().st_ino
    assert path.stat().st_ino == written


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_on_the_way_leaves_the_old_file_and_is_not_hidden(path, error):
    there = before(path)
    with pytest.raises(error):
        half_written(path, error())
    assert left(path) == there


def test_a_full_disk_is_told_and_leaves_the_old_file(path):
    there = before(path)
    with pytest.raises(UsageRefused) as refused:
        half_written(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert f"{path}: no space left on device; the folder must exist" in str(refused.value)
    assert refused.value.__suppress_context__
    assert left(path) == there


def test_a_refusal_inside_passes_as_it_is(path):
    there = before(path)
    refusal = UsageRefused("no")
    with pytest.raises(UsageRefused) as refused, whole_file(path):
        raise refusal
    assert refused.value is refusal
    assert left(path) == there


def test_nothing_written_is_told(path):
    there = before(path)
    with pytest.raises(UsageRefused, match="not written"), whole_file(path):
        pass
    assert left(path) == there


def test_a_rename_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(UsageRefused, match="directory"):
        write_text(tmp_path / "out.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageRefused, match="no such file or directory"):
        write_text(tmp_path / "nowhere" / "out.txt", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageRefused, match="not a directory"):
        write_text(tmp_path / "file" / "out.txt", "new")


def test_text_is_written_in_utf_8_as_it_is(path):
    write_text(path, "Ä\n\u2212 5\n")
    assert path.read_bytes() == "Ä\n\u2212 5\n".encode()


def test_two_who_write_the_same_file_do_not_meet(path):
    """On two machines their processes may have the same number."""
    with whole_file(path) as one, whole_file(path) as two:
        one.write_text("as every")
        two.write_text("as every")
    assert left(path) == {"out.txt": "as every"}


def test_two_files_are_written_beside_each_other(tmp_path):
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "b") as two:
        one.write_text("1")
        two.write_text("2")
    assert left(tmp_path / "a") == {"a": "1", "b": "2"}


def test_a_path_may_be_text(tmp_path):
    write_text(str(tmp_path / "out.txt"), "new")
    assert left(tmp_path / "out.txt") == {"out.txt": "new"}


def test_a_reason_is_part_of_a_sentence():
    assert reason(OSError(errno.ENOENT, "No such file or directory")) == "no such file or directory"
    assert reason(OSError("odd")) == "it cannot be opened"
