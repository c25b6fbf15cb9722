"""Offers of WebRTC: what is answered, and what is refused before it costs anything."""

from typing import Any

import attrs
from aiortc import RTCSessionDescription
from aiortc.sdp import SessionDescription

from lipar.bounds import shown
from lipar.live.server.ending import BadMessage, Code
from lipar.live.server.limits import Limits
from lipar.live.server.messages import json_object

MOST_CANDIDATES = 64
"""Addresses of a client; each is tried, so that a long list would have the server send to strangers."""


@attrs.frozen(kw_only=True)
class Offer:
    """An offer that can be answered."""

    description: RTCSessionDescription
    settings: dict[str, Any]


def parse_offer(body: bytes, limits: Limits) -> Offer:
    """The offer that a request is.

    Args:
        body: of the request.
        limits: of the length of its SDP.

    Raises:
        BadMessage: it is none, or offers something other than one video and one data channel.
    """
    fields = json_object(body)
    text, kind, settings = fields.get("sdp"), fields.get("type"), fields.get("settings", {})
    if not isinstance(text, str) or kind != "offer":
        raise BadMessage(f'an offer has "type": "offer" and its SDP as a text; got type {shown(kind)}')
    if not isinstance(settings, dict):
        raise BadMessage(f"settings are an object, got {shown(settings)}")
    if len(text.encode()) > limits.sdp_bytes:
        raise BadMessage(f"an SDP may have {limits.sdp_bytes} bytes", Code.TOO_BIG)
    _check_media(text)
    return Offer(description=RTCSessionDescription(sdp=text, type="offer"), settings=settings)


def _check_media(text: str) -> None:
    try:
        media = SessionDescription.parse(text).media
    except Exception as error:  # aiortc fails in many ways on what is no SDP
        raise BadMessage(f"the offer is no SDP: {type(error).__name__}: {error}") from error
    kinds = sorted(one.kind for one in media)
    if kinds != ["application", "video"]:
        raise BadMessage(
            f"an offer has one video and one data channel; this one has {', '.join(kinds) or 'nothing'}"
        )
    if sum(len(one.ice_candidates) for one in media) > MOST_CANDIDATES:
        raise BadMessage(f"an offer may name {MOST_CANDIDATES} addresses")
    if any(one.kind == "video" and one.direction != "sendrecv" for one in media):
        raise BadMessage("the video of an offer is sent and received (sendrecv)")
