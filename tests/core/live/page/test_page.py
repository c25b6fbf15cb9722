"""The page of `lipar live` in a real browser: what it shows, and what its controls do."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from live_page import LivePage, camera_browser, painted_toy
from live_server import SIZE, RunningServer, live_server
from PIL import Image

STATES = """
window.states = [];
new MutationObserver(() => window.states.push(document.body.dataset.state))
  .observe(document.body, {attributes: true, attributeFilter: ["data-state"]});
"""
UNNAMED = """
[...document.querySelectorAll("button, input, select, textarea, summary, [role=slider]")].filter((control) => {
  const labels = [...(control.labels ?? [])].map((label) => label.textContent).join("");
  return !(labels + control.textContent + (control.getAttribute("aria-label") ?? "")).trim();
}).map((control) => control.outerHTML)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with camera_browser(tmp_path_factory.mktemp("camera")) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with live_server(make_model=painted_toy) as running:
        yield running


@pytest.fixture(scope="module")
def shared_page(browser: Any, server: RunningServer) -> Iterator[LivePage]:
    with LivePage(browser, server.url).checked() as page:
        yield page.begin()


@pytest.fixture
def opened(shared_page: LivePage) -> LivePage:
    """The page with the camera, while it shows edited pictures."""
    shared_page.restore()
    return shared_page


def split(opened: LivePage) -> int:
    return int(opened.page.get_attribute(".divider", "aria-valuenow"))


def test_the_result_changes_when_the_prompt_does(opened: LivePage) -> None:
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    opened.prompt("black")
    opened.until_pixel("result", "value < 50")
    assert 60 < opened.pixel("source")[1] < 160


def test_what_was_not_computed_is_shaded_when_asked_for(opened: LivePage) -> None:
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    opened.page.check("#overlay")
    opened.until_pixel("result", "value < 180")
    red, _, blue = opened.pixel("result")
    assert blue > red
    opened.page.uncheck("#overlay")
    opened.until_pixel("result", "value > 200")


def test_latency_rates_and_the_figures_of_blocks_are_shown(opened: LivePage) -> None:
    assert 0 < opened.until_figure("latency") < 30_000
    for rate in ("fps_in", "fps_out", "fps_shown"):
        assert 0 < opened.until_figure(rate) < 240
    assert 0 < opened.until_figure("kept") <= 100
    assert opened.until_figure("memory") > 0 and opened.until_figure("block") > 0
    assert opened.page.locator("#stages tbody tr").count() >= 3
    assert opened.text("[data-figure=seconds]").endswith("s")
    assert "of the last" in opened.page.get_attribute("#graph", "aria-label")
    assert opened.text("#about").startswith("tiny") or "64x48" in opened.text("#about")


def test_the_divider_is_dragged_and_moved_by_keys(opened: LivePage) -> None:
    page = opened.page
    page.press(".divider", "Home")
    assert split(opened) == 0
    box = page.locator(".picture").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=3)
    page.mouse.up()
    assert split(opened) == 25
    for key, expected in [("ArrowRight", 27), ("Shift+ArrowRight", 37), ("Home", 0), ("End", 100)]:
        page.press(".divider", key)
        assert split(opened) == expected
    assert page.get_attribute(".divider", "aria-valuetext") == "source 100 %, result 0 %"


def test_source_and_result_are_shown_side_by_side_or_the_result_alone(opened: LivePage) -> None:
    page = opened.page
    page.click("[data-view=pair]")
    left, right = (page.locator(f"#{canvas}").bounding_box() for canvas in ("source", "result"))
    assert abs(left["x"] + left["width"] - right["x"]) < 1 and abs(left["width"] - right["width"]) < 1
    assert not page.is_visible(".divider")
    page.click(".views [data-view=result]")
    assert not page.is_visible("#source") and page.is_visible("#result")
    page.click("[data-view=divider]")
    assert page.is_visible("#source") and page.is_visible(".divider")


def test_while_paused_nothing_changes_and_afterwards_it_goes_on(opened: LivePage) -> None:
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    opened.page.click("#pause")
    assert opened.state() == "paused" and opened.text("#pause") == "Resume"
    opened.prompt("black")
    opened.page.wait_for_selector(".settings:not(.unapplied)")
    assert opened.pixel("result")[1] > 200
    opened.page.click("#pause")
    opened.until_pixel("result", "value < 50")
    assert opened.state() == "live"


def test_after_a_reset_it_waits_for_a_block_and_goes_on(opened: LivePage) -> None:
    opened.page.evaluate(STATES)
    opened.page.click("#reset")
    opened.wait_until("window.states.includes('waiting') && window.states.at(-1) === 'live'")


def test_a_refused_value_shows_the_reason_and_is_put_back(opened: LivePage) -> None:
    page = opened.page
    page.fill("#cross_fade", "7")
    page.press("#cross_fade", "Tab")
    page.wait_for_selector("#refused:has-text('cross_fade')")
    assert page.input_value("#cross_fade") == "0" and opened.state() == "live"
    opened.prompt("")
    page.wait_for_selector("#refused:has-text('prompt')")
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    assert opened.text("#refused") == ""


def test_a_fixed_share_replaces_the_threshold_and_the_other_way_round(opened: LivePage) -> None:
    page = opened.page
    page.locator("#threshold").focus()
    page.press("#threshold", "End")
    page.wait_for_selector("output[for=threshold]:text-is('10.00x')")
    page.check("[name=amount][value=keep]")
    page.locator("#keep").focus()
    page.press("#keep", "Home")
    page.wait_for_selector("output[for=threshold]:text-is('1.00x')")
    assert opened.text("output[for=keep]") == "1 %"
    opened.wait_until("document.querySelector('[data-figure=kept]').textContent.length > 1")
    page.check("[name=amount][value=threshold]")
    page.check("#dense")
    opened.wait_until("document.querySelector('[data-figure=kept]').textContent === '100 %'")
    assert opened.text("#refused") == ""


def test_keys_do_what_the_page_says_and_are_letters_in_the_prompt(opened: LivePage) -> None:
    page = opened.page
    opened.key("v")
    assert page.get_attribute("body", "data-view") == "pair"
    opened.key("o")
    assert page.is_checked("#overlay")
    opened.key("Space")
    assert opened.state() == "paused"
    opened.key("p")
    page.keyboard.press("Control+a")
    page.keyboard.type("ovr white")
    assert opened.state() == "paused" and page.is_checked("#overlay")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    page.keyboard.press("o")
    opened.until_pixel("result", "value > 200")
    page.evaluate(STATES)
    page.keyboard.press("r")
    opened.wait_until("window.states.includes('waiting') && window.states.at(-1) === 'live'")


def test_a_snapshot_is_the_result_as_png(opened: LivePage) -> None:
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    with opened.page.expect_download() as download:
        opened.key("s")
    assert download.value.suggested_filename.startswith("lipar-live-")
    image = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert image.format == "PNG" and image.size == SIZE
    assert np.asarray(image.convert("L")).mean() > 200


def test_a_recording_is_offered_as_mp4_and_can_be_played(opened: LivePage) -> None:
    page = opened.page
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    opened.key("m")
    assert opened.text("#record") == "Stop recording"
    opened.prompt("")
    page.wait_for_selector("#refused:has-text('prompt')")
    assert opened.text("#record") == "Stop recording"
    block = opened.until_figure("block")
    opened.wait_until(f"Number(document.querySelector('[data-figure=block]').textContent) > {block + 5}", 60)
    page.click("#record")
    page.wait_for_selector("#recordings a")
    assert opened.text("#record") == "Record"
    with page.expect_download() as download:
        page.click("#recordings a")
    assert download.value.suggested_filename.endswith(".mp4")
    with av.open(download.value.path()) as file:
        pictures = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    assert len(pictures) >= 4 and pictures[0].shape == SIZE[::-1]
    assert f"{len(pictures)} frames" in opened.text("#recordings")
    assert pictures[-1].mean() > 200


def test_two_pages_are_edited_at_once_each_with_its_own_prompt(
    opened: LivePage, browser: Any, server: RunningServer
) -> None:
    with LivePage(browser, server.url).checked() as other:
        other.begin()
        opened.prompt("white")
        other.prompt("black")
        opened.until_pixel("result", "value > 200")
        other.until_pixel("result", "value < 50")
        opened.until_pixel("result", "value > 200")


def test_after_a_reload_source_settings_and_view_are_as_before(opened: LivePage) -> None:
    page = opened.page
    opened.prompt("white")
    opened.until_pixel("result", "value > 200")
    page.click("[data-view=pair]")
    page.press(".views [data-view=pair]", "Tab")
    page.reload()
    opened.until_state("live")
    opened.until_pixel("result", "value > 200")
    assert page.input_value("#prompt") == "white" and page.get_attribute("body", "data-view") == "pair"
    assert page.get_attribute("[data-source=camera]", "aria-pressed") == "true"


def test_every_control_has_a_name_and_the_state_is_announced(opened: LivePage) -> None:
    assert opened.page.evaluate(UNNAMED) == []
    assert opened.page.get_attribute("#state", "aria-live") == "polite"
    assert opened.text("#state") == "Live."


def test_on_a_narrow_phone_nothing_is_wider_than_the_screen(browser: Any, server: RunningServer) -> None:
    phone = {"is_mobile": True, "has_touch": True, "color_scheme": "dark", "reduced_motion": "reduce"}
    with LivePage(browser, server.url, (360, 740), **phone).checked() as opened:
        opened.begin()
        for view in ("divider", "pair", "result"):
            opened.page.tap(f".views [data-view={view}]")
            assert opened.overflow() <= 0
        opened.page.tap("[data-view=divider]")
        opened.page.evaluate("document.querySelector('.keys').open = true")
        opened.prompt("unbroken" * 300)
        opened.page.wait_for_selector("#refused:has-text('2000')")
        assert opened.overflow() <= 0
        box = opened.page.locator(".picture").bounding_box()
        opened.page.touchscreen.tap(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
        assert abs(split(opened) - 75) <= 1
        style = "getComputedStyle(document.body)"
        assert opened.page.evaluate(f"{style}.backgroundColor") == "rgb(21, 24, 28)"
        assert opened.page.evaluate(f"{style}.color") == "rgb(228, 231, 235)"
        # in one go: the next picture says that the page is live
        dot = """() => {
            document.body.dataset.state = "lost";
            return getComputedStyle(document.querySelector("#state"), "::before").animationName;
        }"""
        assert opened.page.evaluate(dot) == "none"
        opened.page.emulate_media(reduced_motion="no-preference")
        assert opened.page.evaluate(dot) == "pulse"
