"""Models and data that fit into a test."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

LENGTH = 8


def model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            bos_token_id=1,
            eos_token_id=None,
            pad_token_id=0,
        )
    )


def rows(count: int = 24) -> list[dict[str, torch.Tensor]]:
    drawn = torch.randint(1, 32, (count, LENGTH), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": row, "labels": row} for row in drawn]


def trainer(folder, *, callbacks=(), data=None, **arguments) -> Trainer:
    """12 steps of 4 rows, logged every second one."""
    settings = {
        "output_dir": str(folder),
        "max_steps": 12,
        "per_device_train_batch_size": 4,
        "logging_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 6,
        "save_steps": 6,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        **arguments,
    }
    return Trainer(
        model(),
        TrainingArguments(**settings),
        train_dataset=data or rows(),
        eval_dataset=rows(8),
        callbacks=list(callbacks),
    )
