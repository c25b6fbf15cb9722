"""Encoders that work, and why others do not."""

from lipar.doctor.encoders import check_encoders
from lipar.video.encoding import CODECS


def test_each_codec_works_or_has_a_reason():
    found = {finding.name: finding for finding in check_encoders()}
    works = found.pop("work").text.split(", ")
    assert "h264" in works and {*works, *found} == {*CODECS} and all(each.text for each in found.values())


def test_without_the_usual_codec_an_edit_is_broken(monkeypatch):
    monkeypatch.setattr(
        "lipar.video.encoders.why_not", lambda asked: None if asked.codec == "hevc" else "no driver"
    )
    found = {finding.name: finding for finding in check_encoders()}
    assert (found["work"].state, found["work"].text) == ("ok", "hevc")
    assert found["h264"].state == "broken" and found["av1"].state == "note"


def test_without_any_codec_it_is_broken(monkeypatch):
    monkeypatch.setattr("lipar.video.encoders.why_not", lambda asked: "not built")
    assert next(check_encoders()).state == "broken"
