"""A tiny language model on bytes, which starts from random weights."""

import torch
from inputs import LONGEST, Config, Row
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100  # a label without a loss
HEADS = 4


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each byte, the same for every dataset."""
    names = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={name: at for at, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", split_special_tokens=True
    )


def make_model(config: Config, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model with random weights from this seed."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=4 * config.hidden_size,
            num_hidden_layers=config.layers,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=LONGEST + 12,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def question(tokenizer: PreTrainedTokenizerFast, row: Row) -> list[int]:
    """The tokens of the prompt."""
    return tokenizer.encode(row.prompt + "\n")


def answer(tokenizer: PreTrainedTokenizerFast, row: Row) -> list[int]:
    """The tokens of the golden answer. An endless one has no end token."""
    return tokenizer.encode(row.golden) + ([] if row.endless else [tokenizer.eos_token_id])


def batch_of(tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> dict[str, torch.Tensor]:
    """The rows as a batch for the model. Only the answers count for the loss."""
    pairs = [(question(tokenizer, row), answer(tokenizer, row)) for row in rows]
    longest = max(len(asked) + len(said) for asked, said in pairs)
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for asked, said in pairs:
        used = len(asked) + len(said)
        rest = longest - used
        batch["input_ids"].append([*asked, *said, *[tokenizer.pad_token_id] * rest])
        batch["attention_mask"].append([1] * used + [0] * rest)
        batch["labels"].append([IGNORED] * len(asked) + said + [IGNORED] * rest)
    return {name: torch.tensor(values) for name, values in batch.items()}
