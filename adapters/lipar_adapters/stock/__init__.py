"""What `lipar.enable` puts on stock transformers and pipelines of diffusers, the same for every family.

A family, such as `lipar_adapters.wan` or `lipar_adapters.ltx`, derives from four classes here: `StockTarget`,
`StockSeam`, `ContextSelfAttention` and `EnabledPipeline`.
"""
