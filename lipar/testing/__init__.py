"""Strategies, contracts and toys that the suite uses, for plugin authors too. Needs the extra `test`."""
