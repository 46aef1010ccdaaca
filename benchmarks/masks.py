"""Agreement of predicted masks with labels of contamination.

    python benchmarks/masks.py ../shared/realdata/ncem --sheet sheet.png

The folder holds images ``NAME.png``, labels ``NAME_LABEL.png`` (255: contamination) and ``pixel_size.csv``
with the columns ``file`` and ``sampling_angstrom_per_px``: the format of
https://github.com/lbnlcomputerarch/graphene-u-net (Sadre et al., Microsc. Microanal. 27, 804 (2021)). A pixel
is predicted as contamination where it is neither vacuum nor monolayer. Prints Dice, precision and recall of
all images together, by sampling and by share of the label, and what labelled and other pixels are taken for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageDraw

from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.learning.storage import TrainedNetwork, load_network
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.masks import segment

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "amorph2d" / "networks"
INFERENCE = ROOT / "conf" / "base" / "parameters_inference.yml"
CONTAMINATION = 255
AREAS = {"vacuum": VACUUM, "monolayer": MONOLAYER, "other": OTHER}
COLOURS = np.array([[31, 95, 128], [236, 232, 221], [216, 98, 43]])  # of vacuum, monolayer and other
BINS = {"sampling": [0.0, 0.32, 0.37, 0.5, 1.0], "label": [0.0, 0.05, 0.1, 0.2, 1.0]}


def read_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Grey values of an image, and where it is labelled as contamination."""
    stem = Path(name).stem
    with Image.open(folder / name) as image, Image.open(folder / f"{stem}_LABEL.png") as label:
        return np.asarray(image.convert("F")), np.asarray(label.convert("L")) == CONTAMINATION


def count(is_true: np.ndarray, mask: np.ndarray) -> dict[str, int]:
    """Pixels of each area, in the label and outside of it."""
    return {
        f"{where}_{area}": int((inside & (mask == code)).sum())
        for where, inside in (("in", is_true), ("out", ~is_true))
        for area, code in AREAS.items()
    }


def ratios(counts: pd.DataFrame) -> pd.DataFrame:
    """Dice, precision and recall of rows of counts; NaN where undefined."""
    common, false = counts["in_other"], counts["out_other"]
    true = counts[[f"in_{area}" for area in AREAS]].sum(axis=1)
    sums = {"dice": (2 * common, true + common + false), "precision": (common, common + false)}
    sums["recall"] = (common, true)
    return pd.DataFrame({name: part / whole.where(whole > 0) for name, (part, whole) in sums.items()})


def score(
    folder: Path, networks: dict[str, TrainedNetwork], parameters: LocalisationParameters, n_kept: int
) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Counts of each image, and pictures of the first ones: image, label, prediction."""
    rows, pictures = [], []
    for entry in pd.read_csv(folder / "pixel_size.csv").to_dict("records"):
        image, is_true = read_pair(folder, entry["file"])
        step = float(entry["sampling_angstrom_per_px"])
        mask = segment(image, sampling=(step, step), networks=networks, parameters=parameters)
        row = {"file": entry["file"], "sampling": step, "label": is_true.mean()} | count(is_true, mask)
        rows.append(row)
        if len(pictures) < n_kept:
            dice = float(ratios(pd.DataFrame([row]))["dice"].iloc[0])
            pictures.append(
                triptych(image, is_true, mask, f"{entry['file'][:44]}  {step:.3g} A/px  {dice:.2f}")
            )
    return pd.DataFrame(rows), pictures


def triptych(image: np.ndarray, is_true: np.ndarray, mask: np.ndarray, title: str) -> np.ndarray:
    """Image, label and prediction side by side under a title, (rows, columns, 3) uint8."""
    low, high = np.quantile(image, [0.005, 0.995])
    grey = np.clip((image - low) / max(high - low, 1e-9), 0, 1)[..., None] * np.full(3, 255.0)
    parts = [grey, *(0.35 * grey + 0.65 * COLOURS[codes] for codes in (np.where(is_true, OTHER, 1), mask))]
    picture = np.concatenate([np.pad(part, [(18, 3), (0, 3), (0, 0)]) for part in parts], axis=1)
    canvas = Image.fromarray(picture.astype(np.uint8))
    ImageDraw.Draw(canvas).text((3, 2), title, fill="white")
    return np.asarray(canvas)


def write_sheet(path: Path, pictures: Sequence[np.ndarray], n_columns: int = 3) -> None:
    """Write pictures in rows; smaller ones are filled up with black."""
    height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
    sheet = np.zeros((-(-len(pictures) // n_columns) * height, n_columns * width, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // n_columns * height, number % n_columns * width
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    Image.fromarray(sheet).save(path)


def report(table: pd.DataFrame) -> None:
    """Print the scores of all images together and of groups of them."""
    counts = [name for name in table if name.startswith(("in_", "out_"))]
    each, total = ratios(table), ratios(table[counts].sum().to_frame().T).iloc[0]
    print(f"all {len(table)} images: " + ", ".join(f"{name} {value:.3f}" for name, value in total.items()))
    print(f"median of the images: Dice {each['dice'].median():.3f}")
    for where, name in (("in", "labelled"), ("out", "other")):
        pixels = table[[f"{where}_{area}" for area in AREAS]].sum()
        shares = [f"{value:.1%} {area}" for area, value in zip(AREAS, pixels / pixels.sum(), strict=True)]
        print(f"{name} pixels are taken for: " + ", ".join(shares))
    for column, edges in BINS.items():
        bins = pd.cut(table[column], edges, include_lowest=True)
        grouped = table.groupby(bins, observed=True)
        sums = grouped[counts].sum()
        medians = each["dice"].groupby(bins, observed=True).median().rename("median Dice")
        print(
            pd.concat([grouped.size().rename("images"), ratios(sums), medians], axis=1).round(3).to_string()
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="images, labels and pixel_size.csv")
    parser.add_argument("--monolayer", type=Path, default=SHIPPED / "monolayer", help="folder of the network")
    parser.add_argument("--pores", type=Path, default=SHIPPED / "pores", help="folder of the network")
    parser.add_argument("--threshold", type=float, help="of the monolayer instead of the network's own")
    parser.add_argument("--vacuum-threshold", type=float, help="instead of the network's own")
    parser.add_argument("--table", type=Path, help="CSV to write the counts of each image to")
    parser.add_argument("--sheet", type=Path, help="picture of image, label and prediction to write")
    parser.add_argument("--first", type=int, default=24, help="how many images it shows")
    return parser.parse_args()


def main() -> None:
    given = parse()
    networks = {name: load_network(getattr(given, name)) for name in ("monolayer", "pores")}
    thresholds = {"monolayer": given.threshold, "vacuum": given.vacuum_threshold}
    raw = yaml.safe_load(INFERENCE.read_text())["localisation"] | {"thresholds": thresholds}
    start = time.perf_counter()
    table, pictures = score(
        given.folder, networks, LocalisationParameters(**raw), given.first if given.sheet else 0
    )
    print(f"{time.perf_counter() - start:.1f} s")
    report(table)
    if given.table:
        table.join(ratios(table)).to_csv(given.table, index=False)
    if given.sheet:
        write_sheet(given.sheet, pictures)


if __name__ == "__main__":
    main()
