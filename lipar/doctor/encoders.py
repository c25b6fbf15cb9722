"""Encoders of video that work on this machine."""

from collections.abc import Iterator

from lipar.doctor.finding import Finding

USUAL = "h264"
"""The codec of an edit that names none."""


def check_encoders() -> Iterator[Finding]:
    """Each codec that `--codec` takes, tried with a picture; without the usual one an edit needs another."""
    from lipar.video.encoders import why_not
    from lipar.video.encoding import CODECS, Encoding

    found = {name: why_not(Encoding.of(name)) for name in CODECS}
    works = [name for name, reason in found.items() if reason is None]
    yield Finding("work", "ok" if works else "broken", ", ".join(works) or "none does")
    for name, reason in found.items():
        if reason is not None:
            if name == USUAL:
                yield Finding(
                    name, "broken", reason, "install PyAV from its own wheels, or name another --codec"
                )
            else:
                yield Finding(name, "note", reason)
