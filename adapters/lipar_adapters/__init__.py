"""Model adapters that come with lipar, and the command `lipar ttm`.

What they offer is registered by `lipar_adapters.plugin`. This module imports nothing, since `lipar --help` loads it.
"""
