"""The dense block-causal model in the plainest way, without lipar: what keeping every token must equal bit for bit."""

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn


def small_wan(dtype=torch.float32, seed=0, **changes):
    """A stock transformer of diffusers with random weights."""
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    config = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 32,
        "ffn_dim": 64,
        "num_layers": 2,
    }
    model = WanTransformer3DModel(**{**config, **changes}).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return cast(model, dtype)


def cast(model, dtype):
    """As `from_pretrained(torch_dtype=...)` does: some modules stay in float32, the rotary table among them."""
    for name, parameter in model.named_parameters():
        if not any(kept in name for kept in model._keep_in_fp32_modules):
            parameter.data = parameter.data.to(dtype)
    return model


class _CachedProcessor:
    """diffusers' self-attention with keys and values of earlier blocks put in front."""

    def __init__(self, dense):
        self.dense = dense
        self.frames = []  # (rotated keys, values) of each frame in the cache

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        k = attn.norm_k(attn.to_k(hidden_states)).unflatten(2, (attn.heads, -1))
        v = attn.to_v(hidden_states).unflatten(2, (attn.heads, -1))
        q, k = self._rotate(q), self._rotate(k)
        past = [*self.frames[: self.dense.sink], *self._window()]
        context_k = torch.cat([*(frame[0] for frame in past), k], dim=1)
        context_v = torch.cat([*(frame[1] for frame in past), v], dim=1)
        out = dispatch_attention_fn(q, context_k, context_v, dropout_p=0.0, is_causal=False)
        if self.dense.clean:
            per_frame = k.shape[1] // self.dense.block_frames
            self.frames += zip(k.split(per_frame, dim=1), v.split(per_frame, dim=1), strict=True)
        return attn.to_out[1](attn.to_out[0](out.flatten(2, 3).type_as(q)))

    def _window(self):
        later = self.frames[self.dense.sink :]
        if not self.dense.window:
            return later
        return later[max(len(later) - (self.dense.window - self.dense.block_frames), 0) :]

    def _rotate(self, states):
        cos, sin = self.dense.rotation
        even, odd = states.unflatten(-1, (-1, 2)).unbind(-1)
        out = torch.empty_like(states)
        out[..., 0::2] = even * cos[..., 0::2] - odd * sin[..., 1::2]
        out[..., 1::2] = even * sin[..., 1::2] + odd * cos[..., 0::2]
        return out.type_as(states)


class PlainCausalWan:
    """Runs a stock transformer block by block with a concatenated cache and diffusers' own rotary table."""

    def __init__(self, transformer, *, block_frames, sink, window):
        self.transformer = transformer
        self.block_frames, self.sink, self.window = block_frames, sink, window
        self.first_frame, self.clean = 0, False

    def flows(self, blocks, timesteps, prompt_embeds):
        """The flow of every block at every timestep, the last of which is the clean pass; all on given latents."""
        stock = [block.attn1.processor for block in self.transformer.blocks]
        for block in self.transformer.blocks:
            block.attn1.set_processor(_CachedProcessor(self))
        try:
            return [self._block(latents, timesteps, prompt_embeds) for latents in blocks]
        finally:
            for block, processor in zip(self.transformer.blocks, stock, strict=True):
                block.attn1.set_processor(processor)

    def _block(self, latents, timesteps, prompt_embeds):
        frames = latents[0].shape[1]
        whole = self.transformer.rope(torch.empty(1, 1, self.first_frame + frames, *latents[0].shape[3:]))
        start = whole[0].shape[1] // (self.first_frame + frames) * self.first_frame
        self.rotation = tuple(table[:, start:] for table in whole)
        flows = []
        for index, timestep in enumerate(timesteps):
            self.clean = index == len(timesteps) - 1
            told = torch.full((prompt_embeds.shape[0],), timestep)
            noisy = latents[index].transpose(1, 2).expand(prompt_embeds.shape[0], -1, -1, -1, -1)
            flows.append(self.transformer(noisy, told, prompt_embeds, return_dict=False)[0].transpose(1, 2))
        self.first_frame += frames
        return flows
