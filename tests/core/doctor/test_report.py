"""The report as a whole: the command, its JSON, and its exit code."""

import json

import pytest

from lipar import load_plugins
from lipar.cli import main
from lipar.doctor.finding import Finding, Section
from lipar.doctor.report import as_dict, can_run, examine, lines, verdict

GOOD = [
    Section("versions", [Finding("torch", "ok", "2.13"), Finding("triton", "note", "missing", "install it")])
]
TRAP = [Section("traps", [Finding("threads", "warning", "8 on 2 cores", "set it to 2")])]
BAD = [Section("encoders", [Finding("h264", "broken", "no encoder", "install PyAV")])]


def test_notes_and_warnings_do_not_stop_a_run():
    assert can_run(GOOD + TRAP) and not can_run(GOOD + BAD)
    assert verdict(GOOD) == "lipar can run here" and "warnings: 1" in verdict(TRAP)
    assert verdict(GOOD + BAD) == "lipar cannot run here: 1 broken"


def test_lines_name_the_state_and_the_advice():
    text = "\n".join(line for line, _ in lines(GOOD + BAD))
    assert "note: missing" in text and "-> install it" in text and "broken: no encoder" in text


def test_plain_values_have_all_findings():
    found = as_dict(GOOD + BAD)
    assert found["can_run"] is False
    assert found["sections"]["encoders"] == [
        {"name": "h264", "state": "broken", "text": "no encoder", "advice": "install PyAV"}
    ]


def test_every_section_is_there_and_nothing_fails_here():
    found = examine(load_plugins)
    assert [each.title for each in found] == [
        *("versions", "devices", "attention", "engine", "memory", "folders"),
        *("plugins", "models", "encoders", "traps"),
    ]
    assert can_run(found)


def test_a_host_that_cannot_be_made_is_broken_and_the_rest_is_seen():
    def failing():
        raise ImportError("no torch")

    found = examine(failing)
    assert not can_run(found) and [each.title for each in found][-1] == "traps"
    assert "models" not in {each.title for each in found}


@pytest.mark.parametrize(("sections", "code"), [(GOOD + TRAP, 0), (GOOD + BAD, 1)])
@pytest.mark.parametrize("as_json", [True, False])
def test_the_exit_code_is_that_of_the_report(monkeypatch, capsys, sections, code, as_json):
    monkeypatch.setattr("lipar.doctor.report.examine", lambda *_: sections)
    monkeypatch.setattr("sys.argv", ["lipar", "doctor", *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code
    said = capsys.readouterr().out
    assert json.loads(said)["can_run"] is (code == 0) if as_json else "lipar can" in said
