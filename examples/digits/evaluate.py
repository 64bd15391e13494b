"""Evaluates one checkpoint, or an untrained model, on one task, and writes result.json."""

import argparse
import json
import math
import os
from pathlib import Path

from digits import data, forward, load, loss_of, new_model

import watchkeeper as wk


def main():
    """Parse the command line, evaluate, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=("clean", "noisy"), required=True)
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", type=Path, help="a folder that train.py left")
    model.add_argument(
        "--untrained", type=int, metavar="HIDDEN_UNITS", help="a model that has learned nothing"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the untrained model")
    arguments = parser.parse_args()

    model = (
        load(arguments.checkpoint)
        if arguments.checkpoint
        else new_model(arguments.untrained, arguments.seed)
    )
    images, labels = data(arguments.task)
    if arguments.checkpoint:
        check_input(arguments.checkpoint, images)
    _, probabilities = forward(model, images)
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    result = {
        "accuracy": round(accuracy, 4),
        "loss": round(loss_of(probabilities, labels), 4),
        "samples": len(labels),
    }

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_name(f".tmp-{arguments.output.name}")
    with temporary.open("w") as file:
        file.write(json.dumps(result) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(arguments.output)
    print(json.dumps(result))


def check_input(checkpoint, images):
    """Refuse images that are not what the checkpoint's passport says that it takes. Without a
    passport nothing is said.
    """
    if not (checkpoint / "MODEL_PASSPORT.json").exists():
        return
    for image in wk.load_passport(checkpoint).input_contract.images:
        pixels, (low, high) = math.prod(image.raw_shape), image.value_range
        if images.shape[1] != pixels or images.min() < low or images.max() > high:
            raise SystemExit(
                f"{checkpoint} takes {pixels} pixels from {low:g} to {high:g}; these are "
                f"{images.shape[1]} from {images.min():g} to {images.max():g}"
            )


if __name__ == "__main__":
    main()
