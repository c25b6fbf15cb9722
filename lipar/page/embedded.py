"""What is put inside a page: files of a package, binary data and values for scripts."""

import base64
import json
from importlib.resources import files
from typing import Any

from markupsafe import Markup


def package_file(package: str, name: str) -> str:
    """The text of a file that is installed with a package, such as a style sheet or a script.

    Args:
        package: dotted name of the package.
        name: name of the file in its folder.
    """
    return files(package).joinpath(name).read_text("utf-8")


def data_uri(data: bytes, media_type: str) -> str:
    """Binary data as a `data:` address, a third larger than the data.

    Args:
        data: the content of a file.
        media_type: e.g. "video/mp4".
    """
    return f"data:{media_type};base64,{base64_text(data)}"


def base64_text(data: bytes) -> str:
    """Binary data in letters that mean nothing to HTML.

    Args:
        data: the content of a file.
    """
    return base64.b64encode(data).decode("ascii")


def json_data(element_id: str, value: Any) -> Markup:
    """A value that scripts of the page read by `JSON.parse(document.getElementById(id).textContent)`.

    Args:
        element_id: the id of the element, unique in the page.
        value: numbers, text, lists and dicts with text as keys.

    Raises:
        ValueError: a number is not finite; JSON has no name for it.
    """
    # inside a script element nothing is decoded, so `</script>` and `<!--` must not appear in the text at all
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Markup('<script type="application/json" id="{}">{}</script>').format(element_id, Markup(text))
