"""Machine, versions, plugins and command of a report."""

import shlex
from importlib.metadata import version

import torch

from lipar.page import command_line, provenance
from lipar.plugin.host import load_plugins


def test_a_report_names_versions_date_machine_and_command() -> None:
    found = provenance(torch.device("cpu"), torch.float32, argv=["/usr/bin/lipar", "compare", "my clip.mp4"])
    assert found["lipar"] == version("lipar") and found["torch"] == torch.__version__
    assert found["diffusers"] == version("diffusers")
    assert found["date"].endswith("UTC") and found["device"] and found["dtype"] == "float32"
    assert found["command"] == "lipar compare 'my clip.mp4'"


def test_only_plugins_of_others_are_named() -> None:
    assert provenance(plugins=load_plugins(own_only=True).plugins)["plugins"] == "only lipar's own"


def test_a_command_can_be_typed_again() -> None:
    words = ["lipar", "compare", "a'b.mp4", "--prompt", "snow; at dusk", "$HOME"]
    assert shlex.split(command_line(words)) == words


def test_the_module_is_named_as_the_command() -> None:
    assert command_line(["/x/lipar/__main__.py", "bench"]) == "lipar bench"
