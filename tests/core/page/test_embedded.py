"""Files, binary data and values inside a page."""

import base64
import json
import re

import pytest

from lipar.page import data_uri, json_data, package_file


def test_a_value_comes_back_as_it_went_in_and_cannot_end_its_element() -> None:
    value = {"clip": "</script><!-- & \u2028", "frames": [1, 2.5, None, True]}
    element = json_data("d", value)
    found = re.fullmatch(r'<script type="application/json" id="d">(.*)</script>', element, re.DOTALL)
    assert found is not None and "<" not in found[1]
    assert json.loads(found[1]) == value


def test_a_number_without_a_name_in_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_data("d", float("inf"))


def test_an_address_holds_the_data() -> None:
    head, _, body = data_uri(b"\x00\xff", "video/mp4").partition(",")
    assert head == "data:video/mp4;base64" and base64.b64decode(body) == b"\x00\xff"


def test_the_style_is_installed_with_the_package() -> None:
    style = package_file("lipar.page", "page.css")
    assert "prefers-color-scheme: dark" in style and style.count("{") == style.count("}")
