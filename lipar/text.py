"""Until the callers are renamed: see `lipar.messages`."""

from lipar.messages import escaped as escaped
