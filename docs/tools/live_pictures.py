"""Make the pictures of docs/how-to/live.md: `lipar live` on a clip, in Debian's Chromium.

    python docs/tools/live_pictures.py CLIP --out docs/media

Writes live-desktop.webp, light, with the divider between source and result, and live-phone.webp, dark, side by side,
with what was not computed shaded.
"""

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import sync_playwright

LIMIT = 250_000  # bytes of both
BLOCKS = 12  # that the graph shows
MINUTES = 5  # for the first of them
MOST_BLOCKS = 60
KEPT = (10, 80)  # percent of the block that is shown
SPEED = (
    0.2  # of the clip: a processor edits few frames a second, between which a camera's picture moves little
)


@contextmanager
def served(clip: Path) -> Iterator[str]:
    """The address of a server on this machine, until the context ends."""
    command = ["lipar", "live", str(clip), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            said = []
            for line in server.stdout:
                said.append(line)
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    return
            raise click.ClickException("".join(said))
        finally:
            server.terminate()


def opened(browser: Any, address: str, prompt: str, **options: Any) -> Any:
    """The page in a window of its own, when some blocks with a prompt are shown."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(60_000 * MINUTES)
    page.goto(address)
    page.wait_for_selector('body[data-state="live"]')
    page.evaluate(f"document.querySelector('#source-video').playbackRate = {SPEED}")
    page.fill("#prompt", prompt)
    page.press("#prompt", "Enter")
    page.press("#prompt", "Escape")
    return page


def wait_for_blocks(page: Any) -> None:
    """Wait for some more blocks, and for one of which a part was computed."""
    block = page.locator("[data-figure=block]")
    page.wait_for_selector("[data-figure=block]:not(:text-is('–'))")
    end = int(block.text_content()) + BLOCKS
    kept = page.locator("[data-figure=kept]")
    while int(block.text_content()) < end + MOST_BLOCKS:
        share = float(kept.text_content().removesuffix(" %"))
        if int(block.text_content()) >= end and KEPT[0] <= share <= KEPT[1]:
            return
        page.wait_for_timeout(200)
    raise click.ClickException(f"no block of which {KEPT[0]}..{KEPT[1]} % were computed")


def write(picture: bytes, path: Path, width: int) -> None:
    """A screenshot as WebP at a width."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image.save(path, quality=82, method=6)


@click.command()
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--prompt", "prompts", nargs=2, default=("autumn", "snow"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True)
def main(clip: Path, prompts: tuple[str, str], out: Path) -> None:
    """Write both pictures."""
    desktop, phone = out / "live-desktop.webp", out / "live-phone.webp"
    with served(clip) as address, sync_playwright() as playwright:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = opened(browser, address, prompts[0], viewport={"width": 1280, "height": 900})
        box = page.locator(".picture").bounding_box()
        page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
        wait_for_blocks(page)
        write(page.screenshot(), desktop, 1000)
        page.context.close()
        small = {"width": 390, "height": 844}
        page = opened(
            browser, address, prompts[1], viewport=small, color_scheme="dark", has_touch=True, is_mobile=True
        )
        page.check("#overlay")
        page.tap("[data-view=pair]")
        wait_for_blocks(page)
        write(page.screenshot(), phone, 390)
        browser.close()
    size = sum(path.stat().st_size for path in (desktop, phone))
    if size > LIMIT:
        raise click.ClickException(f"the pictures have {size} bytes, more than {LIMIT}")


if __name__ == "__main__":
    main()
