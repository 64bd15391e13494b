"""Trains one run and saves a checkpoint after each epoch: python train.py setup_finetune.yaml."""

import sys
from pathlib import Path

import numpy as np
from digits import data, gradients, new_model, save
from ruamel.yaml import YAML

import watchkeeper as wk

LOG_EVERY = 10  # training steps


def train(config, run):
    """Stochastic gradient descent with momentum."""
    images, labels = data("train")
    model = new_model(config["hidden_units"], config["seed"])
    speed = {name: np.zeros_like(value) for name, value in model.items()}
    shuffle = np.random.default_rng(config["seed"])
    step = 0
    for epoch in range(config["epochs"]):
        with run.step(f"epoch_{epoch}") as stage:
            losses = []
            for batch in np.array_split(
                shuffle.permutation(len(images)), len(images) // config["batch_size"]
            ):
                loss, slopes = gradients(model, images[batch], labels[batch])
                for name, slope in slopes.items():
                    speed[name] = config["momentum"] * speed[name] - config["learning_rate"] * slope
                    model[name] += speed[name]
                losses.append(loss)
                step += 1
                if step % LOG_EVERY == 0:
                    run.log(step, loss=loss, epoch=epoch)
            stage.rows(read=len(images), kept=len(images))
            stage.metrics(loss=np.mean(losses))
            folder = Path(config["output_dir"]) / f"epoch_{epoch}"
            save(model, folder, {**config, "epoch": epoch})
            run.checkpoint(folder, training_step=step)
        print(
            f"epoch {epoch}: loss {np.mean(losses):.4f}, {step} training steps, {folder}",
            flush=True,
        )


def main():
    """Read the configuration named on the command line and train."""
    config = YAML(typ="safe").load(Path(sys.argv[1]))
    with wk.start_run("artifacts/training", pipeline="digits", config=config) as run:
        train(config, run)


if __name__ == "__main__":
    main()
