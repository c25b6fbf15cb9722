"""Editing video files: reading and encoding, the run block by block, writing, and `lipar.edit`."""
