"""What the suite tests with, for plugin authors too. Needs the `test` extra."""
