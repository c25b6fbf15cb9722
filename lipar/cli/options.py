"""Kinds of option values that commands share."""

import click

from lipar.bounds import shown
from lipar.cli.number import SIDE

DTYPE_NAMES = ("bfloat16", "float16", "float32")


class SizeType(click.ParamType[tuple[int, int]]):
    """`WIDTHxHEIGHT`."""

    name = "WxH"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, x, height = value.lower().partition("x")
        if not x or not all(side.isascii() and side.isdigit() for side in (width, height)):
            self.fail(f"{shown(value)} is no size; write WIDTHxHEIGHT, for instance 256x256", param, ctx)
        if not all(len(side) < 20 and SIDE.low <= int(side) <= SIDE.high for side in (width, height)):
            self.fail(f"width and height must lie in {SIDE}, got {shown(value)}", param, ctx)
        return int(width), int(height)
