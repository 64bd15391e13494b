"""Evaluates one checkpoint, or an untrained model, on one task, and writes result.json."""

import argparse
import json
import os
from pathlib import Path

from digits import data, forward, load, loss_of, new_model


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


if __name__ == "__main__":
    main()
