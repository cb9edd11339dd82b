"""Tiny models, tokenizers and examples for the tests of training."""

from __future__ import annotations

import random
from array import array
from pathlib import Path
from typing import Any

from tracegen.train.example import Example

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 97


def tiny_model(seed: int = 0, vocabulary: int = VOCABULARY, **settings: Any) -> Any:
    """A Llama of two layers with random weights in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        **{
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "bos_token_id": None,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "tie_word_embeddings": True,
            **settings,
        }
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # far from uniform, so that a wrong mask is seen
        for weight in model.parameters():
            weight.mul_(2.0)
    return model


def examples(count: int, seed: int = 0, *, longest: int = 60) -> list[Example]:
    """Random rows: a prompt of weight 0, then tokens of weights between 0 and 5."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        size = draw.randint(4, longest)
        prompt = draw.randint(1, size - 2)
        weights = [0.0] * prompt + [draw.choice([0.0, 0.5, 1.0, 5.0]) for _ in range(size - prompt)]
        weights[-1] = 1.0
        made.append(
            Example(
                id=f"row-{number}",
                ids=array("i", (draw.randrange(2, VOCABULARY) for _ in range(size))),
                weights=array("f", weights),
                regions=bytes([0] * prompt + [2] * (size - prompt)),
                problem=f"problem-{number}",
            )
        )
    return made


def tiny_tokenizer() -> Any:
    """Bytes as tokens, with a chat template and an end of turn."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<|im_end|>", "<|im_start|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*specials, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT
    return wrapped


def tiny_student(folder: Path, seed: int = 0, **settings: Any) -> Path:
    """A folder with a tiny model and its tokenizer, as `tracegen train` loads one."""
    tokenizer = tiny_tokenizer()
    tiny_model(seed, vocabulary=len(tokenizer), max_position_embeddings=2048, **settings).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder
