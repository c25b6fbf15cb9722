"""What the documents say runs: their Python runs, the commands they name exist, their links lead somewhere.

Every python block of a page is run, the blocks of one page one after the other in one namespace. A block that
cannot run here follows a line `<!-- not run: why -->`; it must still be Python.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from PIL import Image

from lipar.video import write_synthetic_clip

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*) -->\s*\Z")
LINK = re.compile(
    r"(?<!!)\[[^]]*\]\((?P<target>[^)\s]+)\)|!\[[^]]*\]\((?P<image>[^)\s]+)\)|<img[^>]* src=\"(?P<src>[^\"]+)\""
)
FRAGMENT = re.compile(r"\d+\.(feature|fix|doc)(\.\w+)?\.md")

by_page = pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    runs: bool


def blocks_of(text: str) -> Iterator[Block]:
    for fence in FENCE.finditer(text):
        indent = fence["indent"]
        body = "".join(line.removeprefix(indent) for line in fence["text"].splitlines(keepends=True))
        line = text.count("\n", 0, fence.start()) + 2
        yield Block(fence["language"], body, line, NOT_RUN.search(text[: fence.start()]) is None)


def commands_of(text: str) -> Iterator[list[str]]:
    """The command lines of a page, as words: in console blocks after `$ `, in shell blocks, in `code` of a line."""
    for span in re.findall(r"`((?:lipar|tox) [^`\n]+)`", FENCE.sub("", text)):
        yield shlex.split(span)
    for block in blocks_of(text):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif block.language not in ("bash", "sh", "shell"):
            continue
        for line in lines:
            for command in re.split(r"&&|\|\||[;|](?=\s)", line):
                if words := shlex.split(command, comments=True):
                    yield words


def complaint_about(words: list[str], command: click.Command, path: str = "lipar") -> str | None:
    """What a `lipar` command line names that there is not, or None."""
    if isinstance(command, click.Group):
        names = [word for word in words if not word.startswith("-")]
        if not names:
            return None
        inner = command.get_command(click.Context(command), names[0])
        if inner is None:
            return f"no command {path} {names[0]}"
        return complaint_about(words[words.index(names[0]) + 1 :], inner, f"{path} {names[0]}")
    known = {"-h", "--help"} | {
        name for param in command.params for name in [*param.opts, *param.secondary_opts]
    }
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option != "-" and option not in known:
            return f"{path} has no option {option}"
    return None


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as they are made where the pages are shown."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_blocks_are_found_with_their_indent_and_whether_they_run() -> None:
    page = "```python\na = 1\n```\n\n<!-- not run: no GPU -->\n  ```python\n  b = 2\n  ```\n"
    assert list(blocks_of(page)) == [
        Block("python", "a = 1\n", 2, True),
        Block("python", "b = 2\n", 7, False),
    ]


def test_commands_are_found_in_console_and_shell_blocks() -> None:
    page = (
        "```console\n$ cd x && lipar edit a.mp4\nkept 40 %\n```\n```bash\ntox -e \\\n  py311  # slow\n```\n"
    )
    assert list(commands_of(page)) == [["cd", "x"], ["lipar", "edit", "a.mp4"], ["tox", "-e", "py311"]]


def test_an_unknown_command_or_option_is_named() -> None:
    inner = click.Command("edit", params=[click.Option(["-o", "--out"]), click.Option(["--dense/--pruned"])])
    group = click.Group(commands={"edit": inner})
    assert complaint_about(["edit", "in.mp4", "-o", "out.mp4", "--pruned"], group) is None
    assert complaint_about(["edti"], group) == "no command lipar edti"
    assert complaint_about(["edit", "--ouput=x"], group) == "lipar edit has no option --ouput"


@by_page
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_synthetic_clip(
        tmp_path / "in.mp4", frames=14, width=96, height=96
    )  # what pages call a clip of yours
    write_synthetic_clip(tmp_path / "person.mp4", frames=14, width=96, height=96)
    Image.new("L", (96, 96), 255).save(tmp_path / "mask.png")
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page.read_text()):
        if block.language == "python":
            # blank lines before it give tracebacks the page's own line numbers
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            if block.runs:
                exec(code, namespace)


@by_page
def test_commands_exist(page: Path) -> None:
    from lipar.cli import cli

    environments = RawConfigParser()
    environments.read(ROOT / "tox.ini")
    for words in commands_of(page.read_text()):
        if words[0] == "lipar":
            assert complaint_about(words[1:], cli) is None, shlex.join(words)
        if words[0] == "tox" and "-e" in words:
            for name in words[words.index("-e") + 1].split(","):
                assert name in ("py", "py311") or environments.has_section(f"testenv:{name}"), shlex.join(
                    words
                )


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for found in LINK.finditer(text):
        target, _, anchor = (found["target"] or found["image"] or found["src"]).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        aim = (page.parent / target).resolve() if target else page
        assert aim.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors_of(aim), f"{page.name} links to {target}#{anchor}"


@by_page
def test_paths_of_the_repository_that_a_page_names_exist(page: Path) -> None:
    spans = re.findall(r"`((?:lipar|plugins|adapters|tests|docs)/[\w./-]+)`", FENCE.sub("", page.read_text()))
    assert [path for path in spans if not (ROOT / path).exists()] == []


def test_pictures_are_shown_on_some_page_and_at_most_three_megabytes() -> None:
    text = "".join(page.read_text() for page in PAGES)
    pictures = [path for path in (ROOT / "docs" / "media").iterdir() if path.suffix != ".json"]
    assert [path.name for path in pictures if f"media/{path.name})" not in text] == []
    assert [path.name for path in pictures if path.stat().st_size > 3_000_000] == []


def test_toml_blocks_are_toml() -> None:
    for page in PAGES:
        for block in blocks_of(page.read_text()):
            if block.language == "toml":
                tomllib.loads(block.text)


def test_changelog_fragments_are_named_by_issue_and_kind() -> None:
    fragments = {path.name for path in (ROOT / "docs" / "changelog").iterdir()} - {"README.md"}
    assert [name for name in fragments if not FRAGMENT.fullmatch(name)] == []


def test_the_criterion_of_contributing_is_the_example_plugin() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    shown = next(block.text for block in blocks_of(contributing) if block.language == "python")
    assert shown == (ROOT / "docs" / "examples" / "lipar-peak" / "lipar_peak.py").read_text()
    assert sum(bool(line.strip()) for line in shown.splitlines()) <= 15
