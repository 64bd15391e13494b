"""Tiny checkpoints for tests, written byte by byte: no library that trains is imported."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

BITS = {"F32": 32, "BF16": 16, "F16": 16, "I64": 64, "U8": 8, "BOOL": 8}

Tensors = Mapping[str, tuple[str, Sequence[int]]]
"""Name → type and shape."""

LLAMA: Tensors = {
    "model.embed_tokens.weight": ("F32", (8, 4)),
    "model.layers.0.self_attn.q_proj.weight": ("F32", (4, 4)),
    "model.norm.weight": ("F32", (4,)),
    "lm_head.weight": ("F32", (8, 4)),
}


def safetensors(tensors: Tensors, fill: int = 1) -> bytes:
    """A safetensors file of these tensors, each byte of them `fill`."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return raw_safetensors(json.dumps(header).encode(), end, fill)


def raw_safetensors(header: bytes, data_bytes: int, fill: int = 1) -> bytes:
    """A safetensors file with this header, whatever it says."""
    return struct.pack("<Q", len(header)) + header + bytes([fill]) * data_bytes


def write_llama(root: Path, tensors: Tensors = LLAMA, shards: int = 1) -> Path:
    """A causal language model as transformers saves it, in its own folder."""
    root.mkdir(parents=True, exist_ok=True)
    names = list(tensors)
    weight_map = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        if shards == 1:
            file = "model.safetensors"
        held = names[number::shards]
        (root / file).write_bytes(safetensors({name: tensors[name] for name in held}))
        weight_map |= dict.fromkeys(held, file)
    if shards > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (root / "model.safetensors.index.json").write_text(json.dumps(index))
    write_json(
        root / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "torch_dtype": "float32",
            "transformers_version": "5.23.0",
            "vocab_size": 8,
            "hidden_size": 4,
            "max_position_embeddings": 128,
        },
    )
    write_json(root / "generation_config.json", {"do_sample": False, "eos_token_id": 2})
    write_json(
        root / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128},
    )
    write_json(root / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE"}})
    return root


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def gguf(tensors: Tensors) -> bytes:
    """A GGUF file of version 3 with these tensors, each number of them 0."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    metadata = _text("general.architecture") + struct.pack("<I", 8) + _text("llama")
    metadata += _text("sizes") + struct.pack("<IIQ2I", 9, 4, 2, 1, 2)
    infos, end = b"", 0
    for name, (_, shape) in tensors.items():
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, end)
        end += -(-4 * math.prod(shape) // 32) * 32
    header = head + metadata + infos
    return header + bytes(-len(header) % 32) + bytes(end)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


PROGRAM = """import json, sys
inputs = json.loads(sys.stdin.readline())["inputs"] or {"prompt": "ab", "x": [1, 2.5]}
print("a line that is no answer")
outputs = {"sum": sum(inputs["x"]), "ids": [1, 2], "text": inputs["prompt"].upper()}
print(json.dumps({"inputs": inputs, "outputs": outputs}))
"""


def write_program(path: Path, text: str = PROGRAM) -> Path:
    """A program that makes a forward pass of no model at all."""
    path.write_text(text)
    return path


def write_log(path: Path, answers: Sequence[str], task: str = "words", epoch: int = 1) -> Path:
    """An evaluation's log as inspect-ai writes it, with one sample for each answer."""
    with zipfile.ZipFile(path, "w") as log:
        header = {"status": "success", "eval": {"task": task, "model": "hf/tiny"}}
        log.writestr("header.json", json.dumps(header))
        for number, answer in enumerate(answers, 1):
            sample = {
                "id": number,
                "epoch": epoch,
                "output": {"choices": [{"message": {"content": answer}}], "completion": answer},
                "scores": {"match": {"value": "C" if answer.istitle() else "I"}},
            }
            log.writestr(f"samples/{number}_epoch_{epoch}.json", json.dumps(sample))
    return path
