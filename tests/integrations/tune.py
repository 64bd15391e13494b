"""What a torchtune recipe needs to train within a test: a model and a tokenizer made here."""

from __future__ import annotations

import base64
import json

import torch
from torchtune.models.llama3._tokenizer import LLAMA3_SPECIAL_TOKENS
from transformers import LlamaConfig, LlamaForCausalLM

BYTES = 256
RECIPE = """
output_dir: {out}
tokenizer:
  _component_: torchtune.models.llama3.llama3_tokenizer
  path: {model}/tokenizer.model
  special_tokens_path: {model}/tokenizer.json
  max_seq_len: 64
model:
  _component_: torchtune.models.llama3_2._component_builders.lora_llama3_2
  lora_attn_modules: [q_proj, v_proj]
  apply_lora_to_mlp: false
  vocab_size: {vocabulary}
  num_layers: 1
  num_heads: 2
  num_kv_heads: 2
  embed_dim: 16
  max_seq_len: 64
  intermediate_dim: 16
  lora_rank: 2
  lora_alpha: 4
checkpointer:
  _component_: torchtune.training.FullModelHFCheckpointer
  checkpoint_dir: {model}
  checkpoint_files: [model.safetensors]
  output_dir: ${{output_dir}}
  model_type: LLAMA3_2
resume_from_checkpoint: false
save_adapter_weights_only: false
dataset:
  _component_: torchtune.datasets.instruct_dataset
  source: json
  data_files: {model}/data.json
  split: train
  packed: false
seed: 7
shuffle: false
batch_size: 2
optimizer: {{_component_: torch.optim.AdamW, lr: 0.001}}
lr_scheduler:
  _component_: torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup
  num_warmup_steps: 1
loss: {{_component_: torchtune.modules.loss.CEWithChunkedOutputLoss}}
epochs: 2
max_steps_per_epoch: 3
gradient_accumulation_steps: 1
clip_grad_norm: 1.0
compile: false
metric_logger: null
log_every_n_steps: 1
log_peak_memory_stats: false
device: cpu
dtype: fp32
enable_activation_checkpointing: false
enable_activation_offloading: false
"""


def configuration(out, model) -> str:
    """The recipe's configuration, with no metric logger."""
    return RECIPE.format(out=out, model=model, vocabulary=BYTES + len(LLAMA3_SPECIAL_TOKENS))


def make_model(folder):
    """A folder with random weights, a tokenizer of single bytes, and eight questions."""
    ranks = [base64.b64encode(bytes([value])).decode() + f" {value}" for value in range(BYTES)]
    (folder / "tokenizer.model").write_text("\n".join(ranks) + "\n")
    special = [
        {"content": name, "id": BYTES + index} for index, name in enumerate(LLAMA3_SPECIAL_TOKENS)
    ]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": special}))
    (folder / "data.json").write_text(
        json.dumps([{"input": f"{n}?", "output": f"{n}"} for n in range(8)])
    )
    settings = LlamaConfig(
        vocab_size=BYTES + len(special),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(settings).save_pretrained(folder)
    return folder
