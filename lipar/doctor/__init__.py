"""Whether lipar can run on this machine, and how: what `lipar doctor` prints."""
