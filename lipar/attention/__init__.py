"""Self-attention of kept tokens: the context of a block, the KV cache, rotary positions, donors."""
