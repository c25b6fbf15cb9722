"""Kinds of option values that commands share."""

import click

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
        if not x or not width.isdigit() or not height.isdigit() or not int(width) or not int(height):
            self.fail(f"{value!r} is no size; write WIDTHxHEIGHT, for instance 256x256", param, ctx)
        return int(width), int(height)
