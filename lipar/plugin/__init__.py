"""Plugins: finding them, what they register, and how the core calls them."""
