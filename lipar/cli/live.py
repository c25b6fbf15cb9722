"""`lipar live`: a web page that edits a camera while one watches."""

import importlib.util
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lipar.bounds import Within
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing, loading
from lipar.cli.number import NumberType
from lipar.cli.options import (
    CLIP,
    ConfigChoice,
    config_options,
    debug_option,
    device_option,
    dtype_option,
    engine_option,
    quiet_option,
    resolution_option,
    seed_option,
    strength_option,
)
from lipar.cli.output import complain, say
from lipar.live.settings import DEFAULTS

if TYPE_CHECKING:
    from lipar.live.server.access import Access

PACKAGES = ("aiortc", "fastapi", "uvicorn", "websockets")
"""Of the extra `live`."""
PORT = Within(0, 2**16 - 1, "ports have 16 bits; 0: any that is free")
SESSIONS = Within(1, 64, "sessions at the same time share one model")
PROMPT = "watercolour"
ANY_HOST = ("0.0.0.0", "::", "")
"""Hosts that stand for all addresses of this machine."""


@click.command(
    cls=GroupedCommand,
    groups={
        "Who may connect": ["host", "port", "token", "origins", "sessions", "certificate", "key"],
        "What is computed": ["model", "model_dir", "config_file", "preset", "settings", "strength", "seed"],
        "Where and how": ["resolution", "device", "dtype", "engine"],
        "Watching": ["quiet", "debug"],
    },
)
@click.argument("clip", required=False, type=CLIP, metavar="[CLIP]")
@click.option("--prompt", help=f"What the result looks like at first.  [default: {PROMPT}]")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; any other needs a token."
)
@click.option("--port", type=NumberType(PORT), default=8000, show_default=True, help="0: any that is free.")
@click.option(
    "--token", metavar="TEXT", help="Needed by every request.  [default: none here, a new one elsewhere]"
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Another site whose pages may use this server, e.g. https://example.org.",
)
@click.option(
    "--sessions", type=NumberType(SESSIONS), default=4, show_default=True, help="Most at the same time."
)
@click.option("--tls-certificate", "certificate", type=CLIP, metavar="FILE", help="PEM, for https.")
@click.option("--tls-key", "key", type=CLIP, metavar="FILE", help="PEM, the certificate's key.")
@config_options()
@strength_option
@seed_option
@resolution_option
@device_option
@dtype_option
@engine_option
@quiet_option
@debug_option
def live(
    clip: Path | None,
    prompt: str | None,
    host: str,
    port: int,
    token: str | None,
    origins: tuple[str, ...],
    sessions: int,
    certificate: Path | None,
    key: Path | None,
    choice: ConfigChoice,
    strength: float | None,
    seed: int | None,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    engine: str | None,
    quiet: bool,
) -> None:
    """Edit a camera, a screen or CLIP while you watch, on a web page.

    The model is loaded once, then the address of the page is printed. Only this machine may open it, unless --host
    says otherwise; a token is then part of the address. Ctrl-C ends the server and removes what was recorded.
    """
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-certificate and --tls-key belong together; give both")
    if token is not None and not token.strip():
        raise click.UsageError("--token is empty; leave it out for a new one")
    named = {"strength": strength, "seed": seed, "run": None if engine is None else {"engine": engine}}
    config = choice.build(*({key: value} for key, value in named.items() if value is not None), base=DEFAULTS)
    check_packages()
    with importing(quiet=quiet):
        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device, pick_dtype
        from lipar.editing.source import model_size
        from lipar.engines.engine import check_device
        from lipar.live.model_host import ModelHost
        from lipar.live.server.access import Access
        from lipar.live.server.app import create_app
        from lipar.live.server.limits import Limits
        from lipar.live.server.serving import Tls, bind, serve
        from lipar.live.server.warm_up import warm_up
        from lipar.live.session import SHAPE
        from lipar.live.settings import LiveSettings
        from lipar.memory.needs import MemoryRun
        from lipar.memory.report import warn_of_memory
        from lipar.plugin.compatibility import check_config

        access = Access.of(host, token=token, origins=origins)
        settings = LiveSettings(
            prompt=PROMPT if prompt is None else prompt,
            strength=1.0 if config.strength is None else config.strength,  # None: from noise
            keep=config.prune.keep,
            seed=config.seed,
        )
        # what cannot work is refused before the model is loaded
        adapter = check_config(plugin_host(), config, dense=False)
        place = pick_device(device)
        check_device(config.run.engine, place, adapter.why_eager())
        number_type = pick_dtype(dtype, place)
    tls = None if certificate is None or key is None else Tls(certificate=certificate, key=key)
    with bind(host, port) as bound:
        run = MemoryRun(config=config, device=place, dtype=number_type, resolution=resolution, dense=False)
        warn_of_memory(adapter, run)
        with loading(f"the model {config.adapter.name}", quiet=quiet):
            models = ModelHost(adapter.load(place, number_type))
        with models:
            size = resolution or model_size(models.model, SHAPE)
            app = create_app(
                models,
                config=config,
                size=size,
                defaults=settings,
                access=access,
                limits=Limits(sessions=sessions),
                clip=clip,
                make_host=plugin_host,
            )
            with loading("the first block", quiet=quiet):
                warm_up(models, settings, config=config, size=size, host=plugin_host())
            url = address(host, bound.getsockname()[1], access, https=tls is not None)
            if not access.local and tls is None:
                complain(
                    "browsers of other machines give a camera to pages over https only: give --tls-certificate and "
                    "--tls-key, or put a proxy with https before this server",
                    fg="yellow",
                )
            told = (f"{config.adapter.name} on {place}, {size[0]}x{size[1]}; Ctrl-C ends it", url)
            serve(app, bound, tls=tls, started=lambda: say(*told))
    say("ended")


def check_packages() -> None:
    """Refuse to run without the packages of the extra `live`.

    Raises:
        RuntimeError: some are not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"lipar live needs {', '.join(missing)}, not installed here: pip install 'lipar[live]'"
        )


def address(host: str, port: int, access: "Access", *, https: bool) -> str:
    """Where to open the page, with the token.

    Args:
        host: that the server is bound to.
        port: likewise.
        access: has the token.
        https: whether it has a certificate.
    """
    name = socket.gethostname() if host in ANY_HOST else f"[{host}]" if ":" in host else host
    token = "" if access.token is None else f"?token={access.token}"
    return f"http{'s' * https}://{name}:{port}/{token}"
