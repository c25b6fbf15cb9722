"""The options of `lipar bench`."""

import pytest
from click.testing import CliRunner

from lipar_lab.bench import SECTIONS
from lipar_lab.bench.command import bench


def test_an_unknown_shape_is_refused_with_all_names():
    outcome = CliRunner().invoke(bench, ["--shape", "wan9"])
    assert outcome.exit_code == 1
    assert "no shape named 'wan9'; there are: toy, wan2.1-1.3b, wan2.2-5b" in outcome.output + str(
        outcome.exception
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "30"], "rows x columns"),
        (["--kept", "0.5,2"], "2.0 is not in"),
        (["--kept", "half"], "is no list of"),
        (["--input", "no.mp4"], "'no.mp4' does not exist"),
        (["--layers", "0"], "must lie in 1..1000 (layers of a transformer"),
    ],
)
def test_bad_options_are_refused_by_name(arguments, said):
    outcome = CliRunner().invoke(bench, ["--shape", "toy", *arguments])
    assert outcome.exit_code != 0
    assert said in outcome.output + str(outcome.exception)


def test_every_section_can_be_chosen():
    (option,) = (option for option in bench.params if option.name == "sections")
    assert tuple(option.type.choices) == SECTIONS
