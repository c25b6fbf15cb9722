"""Debian's Chromium, without a network, for tests of pages."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DESKTOP, PHONE = (1280, 900), (390, 844)
A4 = (718, 1047)
"""The paper in CSS pixels, without margins of 1 cm."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A running browser; the test is skipped where there is none.

    Args:
        arguments: of its command line, besides the usual ones.
    """
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


class OpenedPage:
    """A page of a file or a server, with everything that it complained about and every address that it asked for.

    Args:
        browser: running.
        place: the HTML file, or an address of this machine.
        size: width and height of the window in pixels.
        script: runs before those of the page.
        options: of the browser's context, such as `color_scheme="dark"`.
    """

    def __init__(
        self,
        browser: Any,
        place: Path | str,
        size: tuple[int, int] = DESKTOP,
        *,
        script: str = "",
        **options: Any,
    ) -> None:
        viewport = {"width": size[0], "height": size[1]}
        self._context = browser.new_context(viewport=viewport, offline=isinstance(place, Path), **options)
        self._context.add_init_script(script)
        self.page = self._context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.goto(place.as_uri() if isinstance(place, Path) else place)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def wait_until(self, expression: str, seconds: float = 15) -> None:
        """Wait until a JavaScript expression is true; Playwright's own way is refused by the policy of a page."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"not true within {seconds} s: {expression}"
            self.page.wait_for_timeout(20)

    def outside(self) -> list[str]:
        """Addresses that are neither the file nor inside the page."""
        return [url for url in self.addresses if not url.startswith(("file://", "data:", "blob:"))]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        found = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return int(found)

    def close(self) -> None:
        self._context.close()
