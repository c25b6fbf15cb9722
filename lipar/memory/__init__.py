"""Memory that a run will take, before anything is loaded, and which settings make it less."""
