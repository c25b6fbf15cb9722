"""Make the pictures of docs/laboratory/compare.md from a page of `lipar compare -o`, in Debian's Chromium.

    python docs/tools/report_pictures.py report/index.html --frame 45 --out docs/media

Writes report-desktop.webp, light, with the divider between dense and pruned, and report-phone.webp, dark, with pruned
tokens in grey.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import sync_playwright

LIMIT = 250_000  # bytes of both


def open_at(browser: Any, page: Path, frame: int, **options: Any) -> Any:
    """The page in a window of its own, with the player at the top and at a frame."""
    opened = browser.new_context(offline=True, **options).new_page()
    opened.goto(page.resolve().as_uri())
    opened.wait_for_selector("#player[data-ready]")
    opened.locator(".scrubber").fill(str(frame))
    opened.wait_for_selector(f'#player[data-frame="{frame}"]')
    opened.evaluate("document.activeElement.blur()")
    return opened


def write(picture: bytes, path: Path, width: int) -> None:
    """A screenshot as WebP at a width."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image.save(path, quality=82, method=6)


@click.command()
@click.argument("page", type=click.Path(path_type=Path, exists=True))
@click.option("--frame", type=int, required=True, help="Frame to show.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True)
def main(page: Path, frame: int, out: Path) -> None:
    """Write both pictures."""
    desktop, phone = out / "report-desktop.webp", out / "report-phone.webp"
    with sync_playwright() as playwright:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        opened = open_at(browser, page, frame, viewport={"width": 1280, "height": 900})
        opened.evaluate("document.querySelector('#player').scrollIntoView()")
        write(opened.screenshot(), desktop, 900)
        small = {"width": 390, "height": 844}
        opened = open_at(browser, page, frame, viewport=small, color_scheme="dark", has_touch=True)
        opened.click('[data-view="grey"]')
        opened.wait_for_timeout(1000)
        opened.evaluate("document.activeElement.blur(); document.querySelector('#player').scrollIntoView()")
        write(opened.screenshot(), phone, 390)
        browser.close()
    size = sum(path.stat().st_size for path in (desktop, phone))
    if size > LIMIT:
        raise click.ClickException(f"the pictures have {size} bytes, more than {LIMIT}")


if __name__ == "__main__":
    main()
