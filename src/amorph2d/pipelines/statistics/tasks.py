"""What is done with one analysed micrograph, in whatever process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, as_records
from amorph2d.measures.config import StatisticsParameters
from amorph2d.pipelines.types import Mask, MicrographView

if TYPE_CHECKING:
    from amorph2d.measures.counting import FrameTables
    from amorph2d.measures.window import Window

Results = list[Any]
_NETWORK = ("sites", "bonds", "angles", "rings", "ring_atoms")
_MEASURED = ("ring_order", "ring_grains", "boundary_points", "strain", "defects")


@dataclass(frozen=True)
class Micrograph:
    """An analysed micrograph: its row of the calibration, and what reads its tables, masks and file."""

    row: Mapping[str, Any]
    loaders: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Read a table."""
        return self.loaders[name]()

    @property
    def stem(self) -> str:
        """Name of the file without its ending."""
        return str(self.row["micrograph"])

    @property
    def sampling(self) -> tuple[float, float]:
        """Pixel size, (y, x) [Å/px]."""
        return self.row["sampling_y"], self.row["sampling_x"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of its frames."""
        return int(self.row["rows"]), int(self.row["columns"])

    @property
    def n_frames(self) -> int:
        """Number of its frames."""
        return int(self.row["n_frames"])

    def scaled(self, parameters: StatisticsParameters) -> StatisticsParameters:
        """Return the parameters with the lengths of its material."""
        from amorph2d.measures.config import scaled

        return scaled(parameters, float(self.row["length_scale"]))

    def windows(self) -> Iterator[tuple[int, Window, Window]]:
        """Yield each frame with the area of the sheet that counts, and with this and the vacuum in it."""
        for frame in range(self.n_frames):
            yield frame, *self.both_windows(self.loaders["windows"](frame))

    def both_windows(self, counts: Mask) -> tuple[Window, Window]:
        """Return the area of the sheet that counts, and this with the vacuum in it."""
        from amorph2d.analysis.regions import COUNTED
        from amorph2d.measures.mask_window import observed_window

        return observed_window(counts == COUNTED, self.sampling), observed_window(counts > 0, self.sampling)

    def frames(self) -> Iterator[tuple[int, FrameTables]]:
        """Yield what was found in each frame, with all else that was asked for."""
        from amorph2d.measures.counting import MeasuredTables, frame_tables

        found = [self[name] for name in _NETWORK]
        measured = [self[name] for name in _MEASURED if name in self.loaders]
        foreign = self["dopants"] if "dopants" in self.loaders else None
        for frame, window, seen in self.windows():
            own = frame_tables(frame, *found, window=window, seen=seen)
            if "masks" in self.loaders:
                own = replace(own, mask=self.loaders["masks"](frame), sampling=self.sampling)
            if len(measured) == len(_MEASURED):
                own = replace(own, measured=MeasuredTables(*(of_frame(table, frame) for table in measured)))
            yield frame, own if foreign is None else replace(own, dopants=of_frame(foreign, frame))


def analysed(
    calibration: pd.DataFrame, **datasets: Mapping[str, Callable[..., Any]]
) -> dict[str, Micrograph]:
    """Return the micrographs that were analysed, by stem, with what reads their parts of the data sets."""
    rows = as_records(calibration[calibration["status"] == "analysed"])
    return {
        row["micrograph"]: Micrograph(
            row, {name: parts[row["micrograph"]] for name, parts in datasets.items()}
        )
        for row in rows
    }


def series(calibration: pd.DataFrame, **datasets: Mapping[str, Callable[..., Any]]) -> dict[str, Micrograph]:
    """Return the series that were analysed, by stem."""
    return analysed(calibration[calibration["n_frames"] > 1], **datasets)


def of_frame(table: pd.DataFrame, frame: int) -> pd.DataFrame:
    """Return the rows of one frame."""
    return table[table["frame"] == frame]


def find_network(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return bonds, angles, rings and the atoms around each ring."""
    from amorph2d.measures.tables import angles_table, network_tables

    sites = micrograph["sites"]
    bonds, rings, ring_atoms = network_tables(sites, micrograph.scaled(parameters))
    return [bonds, angles_table(sites, bonds), rings, ring_atoms]


def compare_criteria(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return the rings by other criteria, and checks of the network."""
    from amorph2d.measures import criteria

    sites, bonds, rings, ring_atoms = (micrograph[name] for name in ("sites", "bonds", "rings", "ring_atoms"))
    return [*criteria.compare_criteria(sites, bonds, rings, ring_atoms, micrograph.scaled(parameters))]


def measure_crystal(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return the grain of each ring, grains, boundaries and their points, and the strain at each atom."""
    from amorph2d.measures.counting import crystal_tables

    used = micrograph.scaled(parameters)
    return _joined(crystal_tables(own, used) for _, own in micrograph.frames())


def find_defects(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return defects, their rings and atoms, and atoms whose contrast is not that of the others."""
    from amorph2d.measures import counting
    from amorph2d.measures.dopants import dopants_table

    used, image = micrograph.scaled(parameters), micrograph["micrographs"]
    found = []
    for frame, own in micrograph.frames():
        foreign = dopants_table(own.sites, own.bonds, image.frame(frame), micrograph.sampling, used.dopants)
        found.append((*counting.find_defects(own, used), foreign))
    return _joined(found)


def measure_pores(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return the pores of each frame."""
    from amorph2d.measures.pores import pores_table

    used, masks = micrograph.scaled(parameters).pores, micrograph.loaders["masks"]
    frames = range(micrograph.n_frames)
    return _joined([pores_table(masks(k), micrograph.sampling, used, frame=k)] for k in frames)


def measure_order(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return the order around each ring, crystallites, and which sizes of rings are neighbours."""
    from amorph2d.measures.counting import order_tables

    used = micrograph.scaled(parameters)
    return _joined(order_tables(own, used) for _, own in micrograph.frames())


def measure_pairs(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return pair distribution, structure factor and shells of neighbours of each frame."""
    from amorph2d.measures.counting import pair_tables

    used, sites = micrograph.scaled(parameters), micrograph["sites"]
    windows = micrograph.windows()
    return _joined(pair_tables(of_frame(sites, frame), window, used) for frame, window, _ in windows)


def count_blocks(micrograph: Micrograph, parameters: StatisticsParameters) -> Results:
    """Return what is in each block of each frame, added up."""
    from amorph2d.measures.counting import count_frame, number_frame

    used = micrograph.scaled(parameters)
    return _joined([number_frame(count_frame(own, used), frame)] for frame, own in micrograph.frames())


def count_regions(
    micrograph: Micrograph, region: object, parameters: StatisticsParameters
) -> dict[str, pd.DataFrame]:
    """Return what is in each block of each named region of each frame, added up."""
    from amorph2d.measures.counting import number_frame
    from amorph2d.micrographs.regions import regions_of

    areas = regions_of(
        micrograph.loaders["micrographs"].path, region, shape=micrograph.shape, sampling=micrograph.sampling
    )
    counts = {}
    for name, area in areas.items():
        parts = [
            number_frame(_count_region(micrograph, own, area, frame, parameters), frame)
            for frame, own in micrograph.frames()
        ]
        counts[name] = pd.concat(parts, ignore_index=True)
    return counts


def _count_region(
    micrograph: Micrograph, found: FrameTables, area: BoolArray, frame: int, parameters: StatisticsParameters
) -> pd.DataFrame:
    """Add up what one frame has in one of its regions."""
    from amorph2d.measures.counting import count_frame
    from amorph2d.micrographs.regions import in_region

    is_inside = in_region(found.sites[["x", "y"]].to_numpy(), area, sampling=micrograph.sampling)
    window, seen = micrograph.both_windows(micrograph.loaders["windows"](frame) * area)
    here = found.restricted(is_inside, area, window=window, seen=seen)
    return count_frame(here, micrograph.scaled(parameters))


def measure_detection(
    task: tuple[Micrograph, np.random.Generator], parameters: StatisticsParameters
) -> Results:
    """Return what missed and false atoms do to the statistics of each frame."""
    from amorph2d.measures.detection import detection_table

    micrograph, rng = task
    sites, used = micrograph["sites"], micrograph.scaled(parameters)
    return _joined(
        [
            detection_table(
                of_frame(sites, frame), window.area, statistics=used, rng=rng.spawn(1)[0], frame=frame
            )
        ]
        for frame, window, _ in micrograph.windows()
    )


def export_structures(micrograph: Micrograph) -> Results:
    """Return the atoms of each frame and the polygons of the rings as other programs read them."""
    from amorph2d.measures.exports import rings_to_geojson, sites_to_atoms

    sites = micrograph["sites"]
    (rows, columns), (height, width) = micrograph.shape, micrograph.sampling
    frames = [
        sites_to_atoms(sites, extent=(columns * width, rows * height), frame=frame)
        for frame in range(micrograph.n_frames)
    ]
    return [frames, rings_to_geojson(micrograph["rings"], micrograph["ring_atoms"], sites)]


def collect_view(micrograph: Micrograph) -> MicrographView:
    """Return what figures and report show."""
    from amorph2d.report import view

    row, rings, ring_atoms = micrograph.row, micrograph["rings"], micrograph["ring_atoms"]
    offsets = np.concatenate([[0], np.cumsum(rings["size"].to_numpy())])
    scores = {
        name: float(row[name])
        for kind in ("atom", "ring")
        for name in (f"{kind}_precision", f"{kind}_recall", f"{kind}_f1", f"{kind}_rmse")
        if pd.notna(row.get(name))
    }
    return view.MicrographView(
        stem=micrograph.stem,
        image=micrograph["micrographs"].frame(0),
        sampling=micrograph.sampling,
        sites=micrograph["sites"],
        bonds=micrograph["bonds"],
        angles=micrograph["angles"],
        rings=rings,
        pdf=micrograph["pdf"],
        ring_members=ring_atoms["atom"].to_numpy(np.int64),
        ring_offsets=offsets.astype(np.int64),
        scores=scores or None,
    )


def draw_ring_map(view: MicrographView) -> dict[str, bytes]:
    """Return the ring map, by file name."""
    from amorph2d.plotting.rendering import rendered
    from amorph2d.report.maps import draw_ring_map

    return {f"{view.stem}.png": rendered(draw_ring_map(view), "png")}


def draw_scattering(task: tuple[Micrograph, int]) -> str:
    """Return structure factor and neighbouring rings of a frame, drawn as SVG."""
    from amorph2d.report import details

    found, frame = task
    return details.draw_scattering(found["structure_factors"], found["ring_adjacency"], frame=frame)


def draw_fields(task: tuple[MicrographView, Micrograph]) -> dict[str, bytes]:
    """Return maps of order, strain and orientation, by file name."""
    from amorph2d.plotting.rendering import rendered
    from amorph2d.report import details

    view, found = task
    figures = {
        "order": details.draw_order_map(view, found["ring_order"]),
        "strain": details.draw_strain_map(view, found["strain"]),
        "orientation": details.draw_orientation_map(view, found["ring_grains"], found["boundary_points"]),
    }
    return {f"{view.stem}_{name}.png": rendered(figure, "png") for name, figure in figures.items()}


def _joined(found: Iterable[Sequence[pd.DataFrame]]) -> Results:
    """Put the tables of all frames together."""
    return [pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True)]
