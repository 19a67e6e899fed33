"""Plot time a user and the graph's size against the catalogue, from what benchmarks.screen wrote.

python -m benchmarks.screen --checkpoint ... --data ... --items 3500 35000 350000 --rows rows.json
python -m benchmarks.growth_plot rows.json --out docs/growth.png
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def main() -> None:
    """Draw both on logarithmic axes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    items, exact, screened, size = np.array(json.loads(arguments.rows.read_bytes())).T
    figure = Figure(figsize=(6.8, 2.8), layout="tight")
    times, sizes = figure.subplots(1, 2)
    times.plot(items, exact * 1e3, marker="o", label="exact")
    times.plot(items, screened * 1e3, marker="o", label="screened")
    times.set(xscale="log", yscale="log", xlabel="items", ylabel="ms a user, one thread")
    times.legend()
    sizes.plot(items, size / 2**20, marker="o")
    sizes.set(xscale="log", yscale="log", xlabel="items", ylabel="screen.onnx, MiB")
    figure.savefig(arguments.out, metadata={"Software": None})


if __name__ == "__main__":
    main()
