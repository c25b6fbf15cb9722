"""The server of `lipar live`: a page, WebRTC, and a WebSocket for programs. Needs `lipar[live]`."""
