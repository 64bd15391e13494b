"""Prepares the experiment in work/: words, a byte tokenizer, and a tiny Llama to fine-tune.

Nothing is downloaded, everything depends on the seed alone, and existing files are kept. The model
starts from random weights and learns two instructions here, `Copy: word` and `Shout: word`. The
fine-tunes then teach it a new one, `Capitalize: word`.
"""

import argparse
import base64
import json
import os
import random
import shutil
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
SEED = 20251111
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"
LENGTHS = (3, 4, 5, 6)  # letters in a word
TRAINED, HELD_OUT = 1600, 100  # words for the fine-tunes, and for the evaluations
BYTES = 256
STEPS, BATCH = 400, 32
TEMPLATE = (
    "<|begin_of_text|>{% for message in messages %}"
    "<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def made_up(draw, count, but):
    """This many different words, none of them in `but`, of alternating consonants and vowels."""
    words = {}
    while len(words) < count:
        first = draw.randrange(2)
        word = "".join(
            draw.choice((CONSONANTS, VOWELS)[(first + at) % 2])
            for at in range(draw.choice(LENGTHS))
        )
        if word not in but:
            words[word] = None
    return list(words)


def write_data(folder):
    """Write the examples of the fine-tunes and of the two evaluations. Returns their words, which
    the model must not see before.
    """
    draw = random.Random(SEED)
    train = made_up(draw, TRAINED, ())
    held_out = made_up(draw, HELD_OUT, train)
    capitalized = [
        {"input": f"Capitalize: {word}", "output": word.capitalize()}
        for word in (*train, *held_out)
    ]
    copied = [{"input": f"Copy: {word}", "output": word} for word in held_out]
    for name, rows in (
        ("train", capitalized[:TRAINED]),
        ("capitalization", capitalized[TRAINED:]),
        ("copying", copied),
    ):
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=0) + "\n")
    return {*train, *held_out}


def write_tokenizer(folder):
    """Write a byte tokenizer in torchtune's and transformers' formats. Returns token → id."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from torchtune.models.llama3._tokenizer import LLAMA3_SPECIAL_TOKENS
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    ranks = [f"{base64.b64encode(bytes([value])).decode()} {value}" for value in range(BYTES)]
    (folder / "tokenizer.model").write_text("\n".join(ranks) + "\n")
    letters = {letter: value for value, letter in bytes_to_unicode().items()}
    fast = Tokenizer(models.BPE(vocab=letters, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in LLAMA3_SPECIAL_TOKENS]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def train(folder, tokenizer, unseen, steps):
    """Train a tiny Llama that copies words and writes them in capitals."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    settings = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # The usual 0.02 suits wide models; a narrow one would hardly learn to copy.
        initializer_range=0.08,
        # Wavelengths for a hundred tokens, not a hundred thousand: torchtune's builder then
        # scales none of them.
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    )
    model = LlamaForCausalLM(settings)
    draw = random.Random(SEED + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    warmer = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    for step in range(1, steps + 1):
        ids, labels = batch(tokenizer, draw, unseen)
        loss = model(input_ids=torch.tensor(ids), labels=torch.tensor(labels)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warmer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps:
            print(
                f"step {step} of {steps}: loss {loss.item():.4f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)


def batch(tokenizer, draw, unseen):
    """The token ids and labels of one training step's examples. Only the answers have labels."""
    chat = [{"role": "user", "content": ":"}]
    before, after = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, tokenize=False
    ).split(":")
    before, after = tokenizer(before)["input_ids"], tokenizer(after)["input_ids"]
    examples = []
    for word in made_up(draw, BATCH, unseen):
        asked, answer = draw.choice(((f"Copy: {word}", word), (f"Shout: {word}", word.upper())))
        examples.append(
            ([*before, *asked.encode(), *after], [*answer.encode(), tokenizer.eos_token_id])
        )
    longest = max(len(question) + len(answer) for question, answer in examples)
    ids, labels = [], []
    for question, answer in examples:
        rest = longest - len(question) - len(answer)
        ids.append(question + answer + [tokenizer.pad_token_id] * rest)
        labels.append([-100] * len(question) + answer + [-100] * rest)
    return ids, labels


def make(steps):
    """Write work/ in one step, so that it is never there in part."""
    making = HERE / f".tmp-work-{os.getpid()}"
    try:
        (making / "model").mkdir(parents=True)
        unseen = write_data(making)
        train(making / "model", write_tokenizer(making / "model"), unseen, steps)
        making.rename(WORK)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def main():
    """Prepare whatever is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="training steps of the tiny model (%(default)s)"
    )
    steps = parser.parse_args().steps
    if WORK.is_dir():
        print(f"{WORK} is there: nothing to make")
        return
    began = time.monotonic()
    make(steps)
    print(f"{WORK} made in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
