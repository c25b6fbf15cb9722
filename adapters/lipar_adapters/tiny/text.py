"""A T5-like text encoder and word tokenizer in transformers' format, small enough to be trained with the model."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lipar_adapters.tiny.vocabulary import PUNCTUATION, SPECIAL, words

TEXT_LENGTH = 24
TEXT_DIM = 64


def build_tokenizer() -> Any:
    """Lower-cased words of the closed vocabulary; padding is 0, the end of a prompt 1, an unknown word 2."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *PUNCTUATION, *words()))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\W_]+|[,;.]"), "removed", invert=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=TEXT_LENGTH,
    )


def build_text_encoder(vocabulary_size: int) -> Any:
    """An untrained UMT5 encoder: two layers, `TEXT_DIM` wide."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=vocabulary_size, d_model=TEXT_DIM, d_kv=16, d_ff=128, num_layers=2, num_heads=4, dropout_rate=0.0,
        relative_attention_num_buckets=16, relative_attention_max_distance=32, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return UMT5EncoderModel(config)


def tokenize(tokenizer: Any, prompts: list[str]) -> Int[Tensor, "b n"]:
    """Token numbers, padded and cut to the fixed text length."""
    encoded = tokenizer(
        prompts, padding="max_length", truncation=True, max_length=TEXT_LENGTH, return_tensors="pt"
    )
    return encoded["input_ids"]


def embed_tokens(text_encoder: Any, token_ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n text_dim"]:
    """What the transformer is conditioned on: zero rows after the end of the prompt, as Wan has them."""
    present = token_ids != 0
    hidden = text_encoder(input_ids=token_ids, attention_mask=present.long()).last_hidden_state
    return hidden * present[..., None].to(hidden.dtype)


def encode_prompt(tokenizer: Any, text_encoder: Any, prompts: list[str]) -> Float[Tensor, "b n text_dim"]:
    """Conditioning of prompts on the text encoder's device, without gradients."""
    device = next(text_encoder.parameters()).device
    with torch.no_grad():
        return embed_tokens(text_encoder, tokenize(tokenizer, prompts).to(device))
