"""scikit-learn's digits, 1,797 images of 8 x 8 pixels, and a perceptron with one hidden layer in
plain numpy.

Everything depends on the seed alone: on one machine with one BLAS thread (env.sh), the same seed
gives the same bytes.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

CLASSES = 10
HELD_OUT = 450  # images that no run trains on
SPLIT_SEED = 20260311
NOISE_SEED = 7
NOISE = 0.3  # standard deviation of the noise; pixels are between 0 and 1


def data(part):
    """The images (n, 64), with values between 0 and 1, and the labels (n,) of this part: `train`,
    `clean` (held out) or `noisy` (held out, with noise).
    """
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    order = order[HELD_OUT:] if part == "train" else order[:HELD_OUT]
    images = (images[order] / 16).astype(np.float32)
    if part == "noisy":
        noise = np.random.default_rng(NOISE_SEED).normal(0, NOISE, images.shape)
        images = np.clip(images + noise, 0, 1).astype(np.float32)
    return images, labels[order]


def new_model(hidden, seed):
    """An untrained model."""
    rng = np.random.default_rng(seed)
    return {
        "hidden.weight": rng.normal(0, (2 / 64) ** 0.5, (64, hidden)).astype(np.float32),
        "hidden.bias": np.zeros(hidden, np.float32),
        "output.weight": rng.normal(0, (1 / hidden) ** 0.5, (hidden, CLASSES)).astype(np.float32),
        "output.bias": np.zeros(CLASSES, np.float32),
    }


def forward(model, images):
    """The hidden layer's activations (n, hidden) and the classes' probabilities (n, 10)."""
    hidden = np.maximum(images @ model["hidden.weight"] + model["hidden.bias"], 0)
    logits = hidden @ model["output.weight"] + model["output.bias"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, exponents / exponents.sum(axis=1, keepdims=True)


def loss_of(probabilities, labels):
    """The mean cross-entropy, in nats."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def gradients(model, images, labels):
    """The loss on a batch, and its gradients by parameter."""
    hidden, probabilities = forward(model, images)
    error = (probabilities - np.eye(CLASSES, dtype=np.float32)[labels]) / len(labels)
    back = (error @ model["output.weight"].T) * (hidden > 0)
    return loss_of(probabilities, labels), {
        "hidden.weight": images.T @ back,
        "hidden.bias": back.sum(axis=0),
        "output.weight": hidden.T @ error,
        "output.bias": error.sum(axis=0),
    }


def save(model, folder, config):
    """Write a checkpoint to a temporary folder and rename it, so that it is never there in part."""
    folder = Path(folder)
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(model, temporary / "model.safetensors")
    (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def load(folder):
    """Load the model from a checkpoint."""
    return load_file(Path(folder) / "model.safetensors")
