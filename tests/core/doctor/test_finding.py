"""A check that fails is a finding itself; only Ctrl-C ends the report."""

import pytest

from lipar.doctor.finding import Finding, section


def test_a_check_that_works_gives_its_findings():
    found = [Finding("a", "ok", "one"), Finding("b", "note", "two")]
    assert section("both", lambda: found).findings == found


def test_a_check_that_fails_is_broken_after_what_it_found():
    def check():
        yield Finding("a", "ok", "one")
        raise OSError("no such library")

    first, second = section("libraries", check).findings
    assert first.state == "ok" and (second.name, second.state) == ("libraries", "broken")
    assert "no such library" in second.text


def test_an_interrupt_ends_the_report():
    def check():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        section("slow", check)
