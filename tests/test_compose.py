"""The cluster of containers is what the page about it says; no container is started here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from spinecast.cli import commands

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_everybody_has_the_same_image_folder_and_network(compose):
    services = compose["services"].values()
    for shared in ("image", "volumes", "networks", "environment"):
        assert len({str(service[shared]) for service in services}) == 1
    temporary = compose["services"]["client"]["environment"]["TMPDIR"]
    assert any(temporary.startswith(one.split(":")[1]) for one in compose["x-node"]["volumes"])


def test_no_port_is_open_to_strangers(compose):
    assert not any("ports" in service for service in compose["services"].values())
    assert all(network["internal"] for network in compose["networks"].values())


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_options_are_those_of_dask(compose, role):
    from distributed.cli import dask_scheduler, dask_worker

    service = compose["services"][role]
    assert service["entrypoint"] == ["dask", role]
    main = {"scheduler": dask_scheduler, "worker": dask_worker}[role].main
    known = {name for option in main.params for name in (*option.opts, *option.secondary_opts)}
    assert {word for word in service["command"] if word.startswith("--")} <= known
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_the_client_is_told_where_the_scheduler_is(compose):
    told = (ROOT / "compose.yaml").read_text()
    port = compose["services"]["scheduler"]["command"][1]
    assert compose["services"]["worker"]["command"][0] == f"tcp://scheduler:{port}"
    assert f"--scheduler tcp://scheduler:{port}" in told
    for page in (told, (ROOT / "docs" / "scale.md").read_text()):
        for name in re.findall(r"spinecast (\w+) cohort|client (\w+) cohort", page):
            command = commands.commands["".join(name)]
            assert {"--engine", "--scheduler"} <= {o for p in command.params for o in p.opts}
