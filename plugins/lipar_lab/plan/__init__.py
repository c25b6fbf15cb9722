"""`lipar plan`: what an edit will compute, and how long it will take, before the transformer runs.

clip -> encoder, masks (the same code as in `lipar edit`) -> blocks with kept tokens and context
`lipar bench --calibrate` -> a calibration: seconds of the stages by kept tokens and context, memory
both -> seconds, frames per second and memory of `lipar edit`, pruned and dense
"""
