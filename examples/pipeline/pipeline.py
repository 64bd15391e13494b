"""Six steps from raw rows to fitted distributions, on scikit-learn's data of 178 wines from three
cultivars.

    python examples/pipeline/pipeline.py --config examples/pipeline/config.yaml --log-level DEBUG

Writes artifacts/training/<run_id>/ with logs/run.log, <NN_step>/step_manifest.json and
run_manifest.json. With --reuse, steps that an earlier run finished on the same inputs are skipped.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import sklearn.datasets
from ruamel.yaml import YAML

import watchkeeper as wk

log = logging.getLogger("wines")  # an ordinary logger; it needs no change to be recorded
SOURCE = Path(sklearn.datasets.__file__).parent / "data" / "wine_data.csv"
FEATURES = sklearn.datasets.load_wine().feature_names


def write_json(value):
    """A function that writes `value` to a path, for `step.save`."""
    return lambda path: path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path):
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def done(step, name):
    """The result of this step in an earlier run; None if it must be computed."""
    if not step.reused:
        return None
    log.info("%s was finished by %s", step.label, Path(step.reused_from).name)
    return read_json(step.outputs[name])


def ingest(run):
    """Read the raw lines of the source files."""
    with run.step("00_ingest", inputs=[SOURCE]) as step:
        lines = done(step, "lines.json")
        if lines is None:
            lines = SOURCE.read_text().splitlines()[
                1:
            ]  # the first line has a count and the cultivars' names
            step.rows(read=len(lines), kept=len(lines))
            step.metrics(num_files=1, num_features=len(FEATURES))
            step.save("lines.json", write_json(lines), what="raw lines")
        return lines


def parse(run, lines):
    """Parse one record from each line, and count those that do not parse."""
    with run.step("01_parse", inputs=[lines], items_shown=3) as step:
        records = done(step, "records.json")
        if records is None:
            records = []
            for number, line in enumerate(run.track(lines, "Parsing wines", unit="wine"), 1):
                try:
                    *features, cultivar = (float(cell) for cell in line.split(","))
                    records.append([*features, int(cultivar)])
                except ValueError:
                    log.warning("line %d does not parse: %s", number, line)
                    continue
                step.item(
                    "Parsed wine %d: cultivar %d, alcohol %.2f",
                    number,
                    records[-1][-1],
                    records[-1][0],
                )
            step.rows(read=len(lines), kept=len(records))
            step.metrics(parse_success_rate=len(records) / len(lines))
            step.save("records.json", write_json(records))
        return records


def clean(run, records, config):
    """Drop duplicates, and rows with an alcohol content that no wine has."""
    low, high = config["alcohol_range"]
    with run.step("02_clean", inputs=[records, low, high]) as step:
        rows = done(step, "rows.json")
        if rows is None:
            unique = [list(row) for row in dict.fromkeys(map(tuple, records))]
            rows = [row for row in unique if low <= row[0] <= high]
            step.rows(read=len(records), kept=len(rows))
            step.metrics(
                duplicate_rows=len(records) - len(unique), invalid_rows=len(unique) - len(rows)
            )
            step.save("rows.json", write_json(rows))
        return rows


def split(run, rows, config):
    """Divide the rows into those for fitting and those for testing, by the seed."""
    with run.step("03_split", inputs=[len(rows), config["seed"], config["test_share"]]) as step:
        parts = done(step, "split.json")
        if parts is None:
            order = np.random.default_rng(config["seed"]).permutation(len(rows)).tolist()
            cut = round(len(rows) * config["test_share"])
            parts = {"test": sorted(order[:cut]), "fit": sorted(order[cut:])}
            step.rows(read=len(rows), kept=len(order))
            step.metrics(rows_fit=len(parts["fit"]), rows_test=len(parts["test"]))
            step.save("split.json", write_json(parts))
        return parts


def enrich(run, rows, parts):
    """Scale each feature to the standard deviation of the fitting rows."""
    with run.step("04_enrich", inputs=[rows, parts]) as step:
        enriched = done(step, "enriched.json")
        if enriched is None:
            table = np.array(rows)
            features, cultivars = table[:, :-1], table[:, -1].astype(int)
            fit = features[parts["fit"]]
            scaled = (features - fit.mean(axis=0)) / fit.std(axis=0)
            enriched = [
                [*row, int(cultivar)]
                for row, cultivar in zip(scaled.round(9).tolist(), cultivars, strict=True)
            ]
            step.rows(read=len(rows), kept=len(enriched))
            step.metrics(largest=np.abs(scaled).max())
            step.save("enriched.json", write_json(enriched))
        return enriched


def fit_target_distributions(run, enriched, parts):
    """Fit a normal distribution for each cultivar and feature, and count the test wines that they
    classify correctly.
    """
    with run.step("05_fit_target_distributions", inputs=[enriched, parts]) as step:
        fitted = done(step, "distributions.json")
        if fitted is None:
            table = np.array(enriched)
            fit, test = table[parts["fit"]], table[parts["test"]]
            cultivars = sorted({int(cultivar) for cultivar in table[:, -1]})
            groups = [fit[fit[:, -1] == cultivar][:, :-1] for cultivar in cultivars]
            scores = [
                np.log(len(group) / len(fit))
                - (
                    ((test[:, :-1] - group.mean(axis=0)) / group.std(axis=0)) ** 2 / 2
                    + np.log(group.std(axis=0))
                ).sum(axis=1)
                for group in groups
            ]
            found = np.array(cultivars)[np.argmax(scores, axis=0)]
            fitted = {"accuracy": float((found == test[:, -1]).mean()), "cultivars": []}
            for cultivar, group in zip(cultivars, groups, strict=True):
                mine = test[:, -1] == cultivar
                fitted["cultivars"].append(
                    {
                        "cultivar": cultivar,
                        "rows_fit": len(group),
                        "rows_test": int(mine.sum()),
                        "accuracy": float((found[mine] == cultivar).mean()),
                        "distributions": {
                            name: {"mean": float(mean), "std": float(std)}
                            for name, mean, std in zip(
                                FEATURES, group.mean(axis=0), group.std(axis=0), strict=True
                            )
                        },
                    }
                )
                step.item("Fitted cultivar %d on %d wines", cultivar, len(group))
            step.rows(read=len(fit), kept=len(cultivars) * len(FEATURES))
            step.metrics(num_categories=len(cultivars), accuracy=fitted["accuracy"])
            step.save("distributions.json", write_json(fitted), what="the fitted distributions")
        return fitted


def run_pipeline(config, log_level=None, reuse=False):
    """Run all steps. Returns the run and the fitted distributions."""
    with wk.start_run(
        config["output_root"],
        pipeline=config["pipeline"],
        config=config,
        log_level=log_level,
        reuse=reuse,
    ) as run:
        records = parse(run, ingest(run))
        rows = clean(run, records, config)
        parts = split(run, rows, config)
        enriched = enrich(run, rows, parts)
        fitted = fit_target_distributions(run, enriched, parts)
        run.totals(
            rows_enriched=len(enriched),
            distributions_written=len(fitted["cultivars"]) * len(FEATURES),
        )
    return run, fitted


def main():
    """Parse the command line, run the pipeline and print its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"))
    parser.add_argument("--log-level", help="DEBUG, INFO, WARNING …; the config's by default")
    parser.add_argument(
        "--reuse", action="store_true", help="do not repeat steps that an earlier run finished"
    )
    arguments = parser.parse_args()
    run, fitted = run_pipeline(
        YAML(typ="safe").load(arguments.config), arguments.log_level, arguments.reuse
    )
    print(f"\n{'cultivar':>8} {'fitted on':>10} {'tested on':>10} {'accuracy':>9}")
    for row in fitted["cultivars"]:
        print(
            f"{row['cultivar']:>8} {row['rows_fit']:>10} {row['rows_test']:>10} "
            f"{row['accuracy']:>9.3f}"
        )
    print(f"{'all':>8} {'':>10} {'':>10} {fitted['accuracy']:>9.3f}\n\nLook at: {run.folder}")


if __name__ == "__main__":
    main()
