"""AtomAI's part of `benchmarks/inference.py`, run by the interpreter of an environment that has AtomAI.

    python benchmarks/peers/atomai_inference.py FOLDER --threads 2 --repeats 3

FOLDER holds ``image.npy``, (H, W) between 0 and 1. Written beside it: ``result.json`` with the clock and the
processor time of each call of `Segmentor.predict`, which finds the atoms as well [s]. The weights are those
that a short fit leaves: they do not change the time of the network.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    import atomai
    from atomai.models import Segmentor

    image = np.load(arguments.folder / "image.npy").astype(np.float32)
    model = Segmentor("Unet", nb_classes=1)
    crops = image[:64, :64][None].repeat(4, axis=0)
    masks = (crops > np.quantile(crops, 0.9)).astype(np.float32)
    model.fit(
        crops, masks, crops, masks, training_cycles=5, batch_size=4, plot_training_history=False,
        filename=str(arguments.folder / "atomai"),
    )  # fmt: skip
    times = []
    for _ in range(arguments.repeats + 1):
        before = time.perf_counter(), time.process_time()
        model.predict(image, verbose=False)
        times.append([time.perf_counter() - before[0], time.process_time() - before[1]])
    (arguments.folder / "result.json").write_text(
        json.dumps(
            {
                "times": times[1:],
                "weights": sum(weight.numel() for weight in model.net.parameters()),
                "versions": f"AtomAI {atomai.__version__}, torch {torch.__version__}",
            }
        )
    )


if __name__ == "__main__":
    main()
