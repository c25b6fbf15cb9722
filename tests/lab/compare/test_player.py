"""The page of a comparison in a real browser: divider, synchronous playback, masks, keys, and a phone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import A4, DESKTOP, PHONE, OpenedPage, chromium
from comparison_toys import BITS, COLS, FIGURES, FRAMES, HEIGHT, ROWS, WIDTH, moving_mask, toy_content

from lipar_lab.compare.page import page_of

HOSTILE = "</script><script>document.title='broken'</script>"
READ = """
({side, bits, width, height}) => {
  const video = document.querySelector(`.side.${side} video`);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(video, 0, 0, width, height);
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) {
    const [red] = context.getImageData((bit + 0.5) * width / bits, 0.75 * height, 1, 1).data;
    number += (red > 127) << bit;
  }
  const [red] = context.getImageData(width / 2, height / 4, 1, 1).data;
  return {number, red};
}
"""
PAINTED = """
(side) => {
  const canvas = document.querySelector(`.side.${side} canvas`);
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, ...Array.from({length: data.length / 4}, (_, i) => data[4 * i + 3])];
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(page_of(toy_content(clip=HOSTILE, prompt=HOSTILE, second=HOSTILE), FIGURES), "utf-8")
    return file


@pytest.fixture(scope="module")
def shared_page(browser: Any, file: Path) -> Iterator[OpenedPage]:
    opened = OpenedPage(browser, file)
    yield opened
    assert opened.complaints == [] and opened.outside() == []
    opened.close()


@pytest.fixture
def opened(shared_page: OpenedPage) -> OpenedPage:
    """The page as it is when it is opened, at the first frame."""
    shared_page.page.reload()
    ready(shared_page)
    return shared_page


def ready(opened: OpenedPage) -> None:
    opened.page.wait_for_selector("#player[data-ready]")


def at_frame(opened: OpenedPage, frame: int) -> None:
    opened.page.wait_for_selector(f'#player[data-frame="{frame}"]')


def shown(opened: OpenedPage, side: str) -> dict[str, int]:
    """Number and colour of the frame that a video shows."""
    asked = {"side": side, "bits": BITS, "width": WIDTH, "height": HEIGHT}
    return opened.page.evaluate(READ, asked)


def numbers(opened: OpenedPage) -> list[int]:
    return [shown(opened, side)["number"] for side in ("left", "right")]


def divider(opened: OpenedPage) -> int:
    return int(opened.page.get_attribute(".divider", "aria-valuenow"))


def chosen(opened: OpenedPage) -> list[str]:
    return [
        opened.page.locator(f"select.choice.{side} option:checked").text_content()
        for side in ("left", "right")
    ]


def test_the_page_opens_with_dense_versus_the_first_variant_and_hostile_text_stays_text(
    opened: OpenedPage,
) -> None:
    page = opened.page
    assert page.title() == f"{HOSTILE}: pruned versus dense"
    assert chosen(opened) == ["dense", "as configured"]
    assert numbers(opened) == [0, 0]
    left, right = (shown(opened, side)["red"] for side in ("left", "right"))
    assert abs(left - 0.4 * 255) < 8 and abs(right - 0.6 * 255) < 8
    assert opened.overflow() <= 0


def test_figures_times_and_configs_can_be_read(opened: OpenedPage) -> None:
    page = opened.page
    cells = page.locator("#figures tbody tr", has_text="as configured").locator("th, td").all_text_contents()
    assert cells == [
        "as configured",
        "25 %",
        "1.50x (1.40..1.62)",
        "31.25",
        "needs pip install 'lipar[measure]'",
    ]
    assert page.locator("#figures td.best").all_text_contents() == ["31.25"]
    stages = page.locator("#time-per-stage tbody th").all_text_contents()
    assert stages[:2] == ["encode (once for all runs)", "prune: decide what to compute"]
    assert stages[-2:] == ["other work", "all stages"]
    assert page.locator("#configs tbody tr").all_text_contents() == ["recoverym-degreenone"]
    assert "lipar compare toy.mp4" in page.locator("#how-it-was-made pre").text_content()


def test_the_divider_follows_the_mouse_and_its_keys(opened: OpenedPage) -> None:
    page = opened.page
    box = page.locator(".picture").bounding_box()
    middle = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
    assert divider(opened) == 25
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.9, middle)
    assert divider(opened) == 25, "not after the button was released"
    clip = page.locator(".side.left").evaluate("element => getComputedStyle(element).clipPath")
    assert "25%" in clip or "75%" in clip
    page.focus(".divider")
    for key, percent in (("ArrowRight", 27), ("Shift+ArrowLeft", 17), ("End", 100), ("Home", 0)):
        page.keyboard.press(key)
        assert divider(opened) == percent
    assert page.get_attribute("#player", "data-frame") == "0", "keys of the divider do not step frames"
    assert "left: dense" in page.get_attribute(".divider", "aria-valuetext")


def test_frames_are_stepped_on_both_sides_by_keys_buttons_and_scrubber(opened: OpenedPage) -> None:
    page = opened.page
    last = FRAMES - 1
    for key, frame in (
        ("ArrowRight", 1),
        ("Shift+ArrowRight", 11),
        ("ArrowLeft", 10),
        ("End", last),
        ("ArrowRight", last),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        at_frame(opened, frame)
        assert numbers(opened) == [frame, frame]
    page.click(".forward")
    at_frame(opened, 1)
    page.locator(".scrubber").fill("30")
    at_frame(opened, 30)
    page.click(".back")
    at_frame(opened, 29)
    assert numbers(opened) == [29, 29]
    assert page.locator(".clock").text_content() == f"frame 29 of {last}, 1.21 s"


def test_both_sides_play_together_and_stop_at_the_same_frame(opened: OpenedPage) -> None:
    page = opened.page
    # one side is moved away, as a slow decoder would
    page.evaluate("document.querySelector('.side.right video').currentTime = 1")
    page.keyboard.press("Space")
    opened.wait_until("Number(document.getElementById('player').dataset.frame) > 8")
    assert page.locator(".play").text_content() == "Pause"
    opened.wait_until(
        """() => {
          const [left, right] = [...document.querySelectorAll('.side video')].map((video) => video.currentTime);
          return Math.abs(left - right) < 2 / 24;
        }"""
    )
    page.keyboard.press("Space")
    opened.wait_until("[...document.querySelectorAll('.side video')].every((v) => v.paused && !v.seeking)")
    left, right = numbers(opened)
    assert left == right == int(page.get_attribute("#player", "data-frame"))


def test_the_clip_begins_again_at_its_end_unless_that_is_switched_off(opened: OpenedPage) -> None:
    page = opened.page
    page.select_option(".speed", "2")
    page.uncheck(".loop")
    page.locator(".scrubber").fill(str(FRAMES - 6))
    at_frame(opened, FRAMES - 6)
    page.click(".play")
    at_frame(opened, FRAMES - 1)
    opened.wait_until("document.querySelector('.play').textContent === 'Play'")
    page.check(".loop")
    page.locator(".scrubber").fill(str(FRAMES - 6))
    page.click(".play")
    opened.wait_until("Number(document.getElementById('player').dataset.frame) < 12")
    assert page.locator(".play").text_content() == "Pause"


def test_the_mask_is_drawn_at_the_pruned_tokens_of_the_frame(opened: OpenedPage) -> None:
    page = opened.page
    page.locator(".scrubber").fill("9")
    at_frame(opened, 9)
    assert not any(page.evaluate(PAINTED, "right")[2:])
    page.keyboard.press("m")
    assert page.is_checked("input.mask")
    cols, rows, *opacity = page.evaluate(PAINTED, "right")
    mask = moving_mask(2)
    assert (cols, rows) == (COLS, ROWS)
    # kept first, then alternately
    lengths = mask.runs[9 // 4]
    expected = [index % 2 for index, length in enumerate(lengths) for _ in range(length)]
    assert [int(value > 0) for value in opacity] == expected
    assert page.evaluate(PAINTED, "left")[2:] == opacity, "dense shows the mask of the other side"
    kept = page.locator(".legend output").all_text_contents()
    assert kept == [f"{100 * moving_mask(width).kept[9 // 4]:.0f} %" for width in (2, 3)]
    page.keyboard.press("m")
    assert not any(page.evaluate(PAINTED, "right")[2:])


def test_views_and_lists_choose_the_sides_and_s_swaps_them(opened: OpenedPage) -> None:
    page = opened.page
    page.click("text=source | pruned tokens in grey")
    assert chosen(opened) == ["source", "source, pruned tokens grey: as configured"]
    page.keyboard.press("End")
    at_frame(opened, FRAMES - 1)
    assert set(page.evaluate(PAINTED, "right")[2:]) == {0, 255} and not any(
        page.evaluate(PAINTED, "left")[2:]
    )
    page.keyboard.press("s")
    assert chosen(opened) == ["source, pruned tokens grey: as configured", "source"]
    page.select_option("select.choice.left", label=HOSTILE)
    assert page.locator(".name.left").text_content() == HOSTILE
    deadline = time.monotonic() + 10
    # another video starts at the frame that was shown
    while abs(shown(opened, "left")["red"] - 0.8 * 255) > 8 or numbers(opened) != [FRAMES - 1, FRAMES - 1]:
        assert time.monotonic() < deadline, numbers(opened)


def test_the_graph_is_clicked_to_go_to_a_frame(opened: OpenedPage) -> None:
    plot = opened.page.locator(".plot")
    box = plot.bounding_box()
    plot.click(position={"x": 0.5 * box["width"] + 1, "y": 20})
    at_frame(opened, FRAMES // 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_page_fits_and_a_finger_drags_the_divider(
    browser: Any, file: Path, scheme: str
) -> None:
    opened = OpenedPage(browser, file, PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    ready(opened)
    page = opened.page
    assert opened.overflow() <= 0
    assert page.locator("#figures .scroll").evaluate("box => box.scrollWidth > box.clientWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(value) for value in paper.removeprefix("rgb(").removesuffix(")").split(","))
    assert brightness > 600 if scheme == "light" else brightness < 150
    box = page.locator(".picture").bounding_box()
    session = page.context.new_cdp_session(page)
    y = box["y"] + box["height"] / 3

    def touch(kind: str, share: float | None = None) -> None:
        points = [] if share is None else [{"x": box["x"] + share * box["width"], "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.5)
    for share in (0.55, 0.65, 0.8):
        touch("touchMove", share)
    touch("touchEnd")
    opened.wait_until("document.querySelector('.divider').getAttribute('aria-valuenow') === '80'")
    assert opened.complaints == [] and opened.outside() == []
    opened.close()


def test_on_paper_tables_fit_the_width_and_the_controls_are_left_out(browser: Any, file: Path) -> None:
    opened = OpenedPage(browser, file, A4)
    ready(opened)
    opened.page.emulate_media(media="print")
    assert opened.overflow() <= 0
    assert not opened.page.is_visible(".play") and opened.page.is_visible("#figures table")
    opened.close()


def test_the_page_is_readable_without_scripts(browser: Any, file: Path) -> None:
    opened = OpenedPage(browser, file, DESKTOP, java_script_enabled=False)
    assert opened.page.locator("#figures td.best").all_text_contents() == ["31.25"]
    assert opened.page.locator(".plot polyline").count() == 2
    opened.close()
