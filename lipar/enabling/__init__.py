"""`lipar.enable`: pruning inside a model object that the user made.

`enable` holds `lipar.enable` and `lipar.disable`, `settings` their config, `summary` what `lipar.summary` says. A
`target` connects a model library; a `session` is the state of one enabled object.
"""
