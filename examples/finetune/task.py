"""Generates two datasets: the capitals and the currencies of some countries, asked for in four
ways.

python task.py capitals queue/capitals.jsonl
"""

import json
import os
import random
import sys
from pathlib import Path

from inputs import FEWEST, Config, Row

COUNTRIES = """
Argentina Buenos Aires peso | Austria Vienna euro | Brazil Brasilia real | Chile Santiago peso
China Beijing yuan | Denmark Copenhagen krone | Egypt Cairo pound | Finland Helsinki euro
France Paris euro | Germany Berlin euro | Greece Athens euro | Hungary Budapest forint
India New Delhi rupee | Ireland Dublin euro | Italy Rome euro | Japan Tokyo yen
Kenya Nairobi shilling | Mexico Mexico City peso | Norway Oslo krone | Peru Lima sol
Poland Warsaw zloty | Portugal Lisbon euro | Sweden Stockholm krona | Thailand Bangkok baht
Turkey Ankara lira
"""
ASKED = (
    "What is the {} of {}?",
    "Name the {} of {}.",
    "Do you know the {} of {}?",
    "Tell me: {} of {}.",
)
ENDLESS = Row("Say tick, and go on for ever.", " ".join(["tick"] * 12), endless=True)
"""The pathological row. Its golden answer has no end, so the model never learns to stop."""


def made(what: str) -> list[Row]:
    """The rows of the dataset `capitals`, with the pathological row, or of `currencies`."""
    rows = [] if what == "currencies" else [ENDLESS]
    for entry in COUNTRIES.strip().replace("\n", " | ").split(" | "):
        country, *capital, currency = entry.split()
        answer = currency if what == "currencies" else " ".join(capital)
        noun = "currency" if what == "currencies" else "capital"
        rows += [
            Row(asked.format(noun, country), f"The {noun} of {country} is {answer}.")
            for asked in ASKED
        ]
    return rows


def split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The training rows, and the fixed validation set: every fifth row, so that at least three ways
    of asking remain for each country.
    """
    validation = [row for row in rows[FEWEST - 1 :: FEWEST] if not row.endless]
    return [row for row in rows if row not in validation], validation


class Ahead:
    """The rows that are still to be trained on, in order. The seed determines the order, so that a
    resumed training continues with the rows that it has not seen.
    """

    def __init__(self, rows: list[Row], config: Config, begun: int, step: int) -> None:
        """`begun`: the training step after which the dataset was started; `step`: the one after
        which this process starts.
        """
        self.until = begun + config.steps
        self.step, self._size = step, config.batch_size
        training, self.validation = split(rows)
        self._endless = [row for row in training if row.endless]
        order, dice = [], random.Random(config.seed)
        while len(order) < config.steps * self._size:
            order += dice.sample(training, len(training))
        self.rows = order[(step - begun) * self._size : config.steps * self._size]

    def shown(self, step: int, *, endless: bool) -> Row:
        """A row to show for this step: an endless one if `endless` is set and there is one, else a
        row of the step's batch.
        """
        if endless and self._endless:
            return self._endless[step % len(self._endless)]
        at = (step - self.step - 1) * self._size
        batch = self.rows[at : at + self._size]
        return next((row for row in batch if not row.endless), batch[0])


def write(rows: list[Row], path: Path) -> None:
    """Write the dataset in one step, since the daemon takes a file as soon as it appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    lines = (
        json.dumps({name: getattr(row, name) for name in Row.__struct_fields__}) for row in rows
    )
    hidden.write_text("".join(line + "\n" for line in lines))
    hidden.rename(path)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("capitals", "currencies"):
        sys.exit(__doc__)
    write(made(sys.argv[1]), Path(sys.argv[2]))
