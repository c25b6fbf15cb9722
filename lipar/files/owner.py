"""The owner of a run's files, which get their names when they are complete, and not before."""

import contextlib
import hashlib
import os
from pathlib import Path
from types import TracebackType

from lipar.files.locks import create_locked
from lipar.files.signals import Answered, EndedBySignal, SignalExit, is_late, take_late, undisturbed
from lipar.video.errors import VideoError, explain

LONGEST_NAME = 255


class Outputs:
    """The owner of the files that a run writes: all of them get their names together, or none is left.

    A file is owned before its first byte is written. Each has an unfinished file, hidden in the folder of its target
    and locked: a second run to the same target is refused while the first is running, and replaces the file of one that
    was killed. `publish` gives all files their names; leaving the context removes what was not published, and adds a
    note to the exception that ends it, which says which files exist.

    Inside `with`, SIGINT raises `KeyboardInterrupt`, and SIGTERM and SIGHUP raise `EndedBySignal`, which leaves the
    context as `SignalExit`. While a file is claimed, published or removed, they are delayed until that is done. See
    `lipar.files.signals.Answered`.
    """

    def __init__(self) -> None:
        self._claims: dict[Path, int] = {}
        """Target -> descriptor of its locked, unfinished file."""
        self._claimed = False
        self._published: list[Path] = []
        self._kept: list[Path] = []
        self._left: list[Path] = []
        """Files that should have been removed and could not be."""
        self._replacing: list[Path] = []
        """Targets that existed before."""
        self._signals = Answered()

    @undisturbed
    def claim(self, target: Path) -> Path:
        """Make the unfinished file of a target, empty and locked, and give its path.

        Args:
            target: absolute, links resolved; see `check_writable`.

        Raises:
            VideoError: another run is writing there, or the file cannot be made.
        """
        if target in self._claims:
            raise VideoError(f"{target} is named for two outputs of one run; name two files")
        unfinished = unfinished_path(target)
        try:
            self._claims[target] = create_locked(unfinished)
            self._claimed = True
            _put_back(target)
        except OSError as error:
            raise explain(error, target.parent) from error
        if target.exists():
            self._replacing.append(target)
        return unfinished

    @undisturbed
    def publish(self) -> None:
        """Give every file its name; all of them must be complete and closed.

        If one cannot be put in place, those before it are removed again, and what they replaced is restored.

        Raises:
            VideoError: a file could not be put in place.
        """
        targets = list(self._claims)
        done: list[Path] = []
        try:
            for target in targets:
                if len(targets) > 1:
                    _set_aside(target)
                unfinished_path(target).replace(target)
                done.append(target)
        except OSError as error:
            for one in reversed(targets):
                try:
                    _take_back(one, one in done)
                except OSError:
                    self._left.append(one)
            self.discard()
            raise explain(error, target.parent) from error
        for target in targets:
            with contextlib.suppress(OSError):
                set_aside_path(target).unlink(missing_ok=True)
        self._published += targets
        self._let_go()

    def rewrite(self, target: Path, text: str) -> None:
        """Replace a claimed target in a single step, without giving up the claim.

        Raises:
            VideoError: it cannot be written; the file that was there before stays.
        """
        assert target in self._claims, "claimed first"
        try:
            _hidden(target, "next").unlink(missing_ok=True)
            with _hidden(target, "next").open("x", encoding="utf-8") as file:
                file.write(text)
            self._put_in_place(_hidden(target, "next"), target)
        except OSError as error:
            raise explain(error, target.parent) from error

    def keep(self, path: Path) -> None:
        """Register a file that stays, with what was finished, however the run ends."""
        self._kept.append(path)

    @undisturbed
    def _put_in_place(self, whole: Path, target: Path) -> None:
        whole.replace(target)
        self.keep(target)

    @undisturbed
    def discard(self) -> None:
        """Remove the unfinished files."""
        for target in self._claims:
            for path in (unfinished_path(target), _hidden(target, "next")):
                try:
                    path.unlink(missing_ok=True)
                except OSError:
                    self._left.append(path)
        self._let_go()

    def _let_go(self) -> None:
        for descriptor in self._claims.values():
            os.close(descriptor)
        self._claims.clear()

    def what_is_there(self) -> str:
        """Which of the files exist, and in which state, as a phrase for a message."""
        if self._left:
            return f"could not be removed: {', '.join(map(str, self._left))}"
        if self._published:
            return f"{_names(self._published)} complete"
        if self._kept:
            return f"{self._kept[0].name} keeps what was finished; run the same command again to go on"
        if self._replacing:
            return f"nothing new was left behind, and {_names(self._replacing)} as before"
        return "no file was left behind"

    def __enter__(self) -> "Outputs":
        try:
            self._signals.begin()
        except BaseException:
            self._signals.end()
            raise
        return self

    @undisturbed
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
        answered = self._signals.end()
        if error is None and not is_late():
            return
        ending = take_late() if error is None else error
        if isinstance(ending, EndedBySignal) and answered:  # unless an outer owner handles signals
            ending = SignalExit(ending.number)
        if self._claimed:
            ending.add_note(self.what_is_there())
        if ending is not error:
            raise ending from None


def _names(paths: list[Path]) -> str:
    return f"{' and '.join(path.name for path in paths)} {'is' if len(paths) == 1 else 'are'}"


def unfinished_path(target: Path) -> Path:
    """The name of a target's unfinished file: hidden, in the same folder so that renaming is atomic."""
    return _hidden(target, "partial")


def set_aside_path(target: Path) -> Path:
    """The name of the file that a target replaces, until all files of a run have their names."""
    return _hidden(target, "before")


def _hidden(target: Path, what: str) -> Path:
    name = f".{target.stem}.{what}{target.suffix}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        short = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]
        name = f".{short}.{what}{target.suffix}"
    return target.with_name(name)


def _set_aside(target: Path) -> None:
    aside = set_aside_path(target)
    aside.unlink(missing_ok=True)
    if not target.is_file():
        return
    try:
        os.link(target, aside)  # so that the target always exists
    except OSError:  # a file system without hard links
        target.replace(aside)


def _take_back(target: Path, published: bool) -> None:
    if set_aside_path(target).exists():
        set_aside_path(target).replace(target)
    elif published:
        target.unlink(missing_ok=True)


def _put_back(target: Path) -> None:
    """Restore the file of a target whose run was killed while it published."""
    aside = set_aside_path(target)
    if aside.exists():
        aside.unlink() if target.exists() else aside.replace(target)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that gets its name when it is complete; an existing file stays until then.

    Raises:
        VideoError: another run is writing there, or the file cannot be written.
    """
    with Outputs() as outputs:
        try:
            outputs.claim(path.resolve()).write_text(text, "utf-8")
        except OSError as error:
            raise explain(error, path.parent) from error
        outputs.publish()
