"""`lipar.enable`: pruning inside a model object that the user made."""
