"""The catalogue: which files a released model consists of, where they are on this machine, and how they are fetched.

Adapters offer entries (`Adapter.catalogue`); nothing in this package knows a model. No module imports torch, and only
`fetching`, which `lipar models fetch` calls, contacts a model hub.
"""
