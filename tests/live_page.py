"""The page of `lipar live` in a browser with a fake camera, and a toy model whose edits can be seen."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from browser import OpenedPage, chromium
from live_server import PATIENCE
from live_toys import PoisonedModel

from lipar.testing.toy import ToyAutoencoder

CAMERA = (160, 120)
PAINTS = {"white": 2.0, "black": -2.0}
"""Words of a prompt, and the latents that they ask for."""
PIXEL = """
([id, x, y]) => {
  const canvas = document.getElementById(id);
  const one = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  one.drawImage(canvas, Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1, 0, 0, 1, 1);
  return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
"""


class PaintedModel(PoisonedModel):
    """Paints everything that it computes white or black if the prompt says so, and else does as the toy."""

    def forward(self, latents: torch.Tensor, forward_pass: Any, attention: Any) -> torch.Tensor:
        flow = super().forward(latents, forward_pass, attention)
        for word, value in PAINTS.items():
            if self.prompt and word in self.prompt:
                # a step of length sigma along this flow ends at the value
                painted = (latents - value) / (forward_pass.timestep / 1000)
                return torch.where(flow == 0, flow, painted)
        return flow


def painted_toy() -> PaintedModel:
    """With blocks of four pictures."""
    return PaintedModel(autoencoder=ToyAutoencoder(), block_frames=1)


def write_camera(path: Path, frames: int = 30) -> None:
    """A film for the fake camera as Y4M: a bright square moves over a background that gets brighter to the right."""
    width, height = CAMERA
    ramp = np.linspace(40, 180, width, dtype=np.uint8)
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % CAMERA)
        for index in range(frames):
            luma = np.repeat(ramp[None], height, axis=0)
            left = 4 * index % (width - 24)
            luma[12:36, left : left + 24] = 235
            file.write(b"FRAME\n" + luma.tobytes() + b"\x80" * (width * height // 2))


@contextmanager
def camera_browser(folder: Path) -> Iterator[Any]:
    """A browser whose camera shows a film, and that asks nobody for permission."""
    film = folder / "camera.y4m"
    write_camera(film)
    arguments = [
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        f"--use-file-for-fake-video-capture={film}",
        "--auto-select-tab-capture-source-by-title=lipar live",
    ]
    with chromium(*arguments) as browser:
        yield browser


class LivePage(OpenedPage):
    """The page of a running server."""

    def state(self) -> str:
        return str(self.page.get_attribute("body", "data-state"))

    def until_state(self, state: str, seconds: float = PATIENCE) -> None:
        self.page.wait_for_selector(f'body[data-state="{state}"]', timeout=1000 * seconds)

    def begin(self, source: str = "camera") -> "LivePage":
        """Start a source, and wait for edited pictures."""
        self.until_state("idle")
        self.page.click(f"[data-source={source}]")
        self.until_state("live")
        return self

    def prompt(self, text: str) -> None:
        self.page.fill("#prompt", text)
        self.page.press("#prompt", "Enter")

    def restore(self) -> None:
        """Everything as it is when the page is opened, on a page that was used."""
        page = self.page
        if self.state() == "paused":
            page.click("#pause")
        for switch in ("overlay", "dense"):
            page.uncheck(f"#{switch}")
        page.check("[name=amount][value=threshold]")
        page.click("[data-view=divider]")
        page.press(".divider", "Home")
        self.prompt("watercolour")
        page.wait_for_selector(".settings:not(.unapplied)")
        self.until_state("live")
        page.evaluate("document.activeElement.blur()")

    def key(self, key: str) -> None:
        """Press a key while no control has the focus."""
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return str(self.page.text_content(selector))

    def until_text(self, selector: str, pattern: str) -> None:
        """Wait until a text fits a regular expression, if only for the moment until the page tries again."""
        self.page.wait_for_selector(
            f"{selector}:text-matches({json.dumps(pattern)})", timeout=1000 * PATIENCE
        )

    def figure(self, name: str) -> float | None:
        """A figure as a number, in the unit that is shown; None before there is one."""
        shown = self.text(f"[data-figure={name}]").split(" ")[0]
        return None if shown in ("–", "") else float(shown)

    def until_figure(self, name: str) -> float:
        self.wait_until(f"!['–', ''].includes(document.querySelector('[data-figure={name}]').textContent)")
        found = self.figure(name)
        assert found is not None
        return found

    def pixel(self, canvas: str, x: float = 0.5, y: float = 0.75) -> list[int]:
        """Red, green and blue at a place of the source or the result, in parts of its width and height."""
        found: list[int] = self.page.evaluate(PIXEL, [canvas, x, y])
        return found

    def until_pixel(self, canvas: str, condition: str, x: float = 0.5, y: float = 0.75) -> None:
        """Wait until the brightness of a pixel, `value`, fulfils a condition in JavaScript."""
        read = f"(({PIXEL})({[canvas, x, y]}))[1]"
        self.wait_until(f"((value) => {condition})({read})", PATIENCE)

    def unexpected(self) -> list[str]:
        """What it complained about, besides requests that the server refused or did not answer."""
        return [text for text in self.complaints if "Failed to load resource" not in text]

    def checked(self) -> Any:
        """A context at whose end the page is closed; nothing but what is expected was complained about."""
        return _checked(self)


@contextmanager
def _checked(opened: LivePage) -> Iterator[LivePage]:
    try:
        yield opened
        assert opened.unexpected() == [], opened.unexpected()
        assert all(
            url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:")) for url in opened.addresses
        )
    finally:
        opened.close()
