"""A forward pass of a causal language model of transformers, on the CPU and offline.

Prompt → the first logits behind its last token, and the tokens that follow greedily. Files of an
adapter beside whole weights are left out: the library would apply the adapter a second time.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

PROMPT = "The quick brown fox jumps over the lazy dog."
LOGITS = 32
TOKENS = 8


def main() -> None:
    """Answer the question on standard input for the folder in the one argument."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    inputs = json.loads(sys.stdin.readline())["inputs"]
    with tempfile.TemporaryDirectory() as view:
        _link(Path(sys.argv[1]).resolve(), Path(view))
        answer = _forward(view, (inputs or {}).get("prompt") or _prompt(Path(sys.argv[1])))
    print(json.dumps(answer))


def _link(root: Path, view: Path) -> None:
    """Fill the folder `view` with links to the checkpoint's files, but for an adapter beside merged
    weights: `from_pretrained` would apply it a second time.
    """
    is_merged = any(root.glob("model*.safetensors")) or any(root.glob("pytorch_model*.bin"))
    for path in root.iterdir():
        is_adapter = path.name.startswith("adapter")
        if is_adapter and is_merged:
            continue
        (view / path.name).symlink_to(path)


def _prompt(root: Path) -> str:
    """The passport's default prompt, where it has one."""
    try:
        passport = json.loads((root / "MODEL_PASSPORT.json").read_text())
        return passport["input_contract"]["language"]["default_prompt"] or PROMPT
    except (OSError, ValueError, KeyError, TypeError):
        return PROMPT


def _forward(folder: str, prompt: str) -> dict[str, Any]:
    """One forward pass on a processor, in 32 bits and on one thread, so that another machine comes
    to the same numbers: the first logits behind the prompt, and the tokens that follow greedily.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
        following = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS
        )[0, ids.shape[1] :]
    return {
        "inputs": {"prompt": prompt, "input_ids": ids[0].tolist()},
        "outputs": {"logits": logits[:LOGITS].tolist(), "next_ids": following.tolist()},
    }


if __name__ == "__main__":
    main()
