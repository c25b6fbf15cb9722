"""The recipe that trains the tiny model: procedural clips, training loops, evaluation, export."""
