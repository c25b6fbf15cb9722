"""`lipar analyze`: how redundant the latents of clips are, and how many a decoder lets one replace."""
