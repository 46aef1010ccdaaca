"""Heavy types in the signatures of nodes.

Kedro resolves the annotations of all nodes when it starts, to validate their parameters, so each name must
exist; but torch, matplotlib and plotly must not be imported for that. At run time they stand for anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure as PlotlyFigure

    from amorph2d.datasets.micrographs import MicrographLoader
    from amorph2d.datasets.shards import SimulatedSet
    from amorph2d.datasets.tables import RecordLoader, TableLoader
    from amorph2d.imaging.adaptation.compare import Appearance
    from amorph2d.imaging.adaptation.measured import Measured
    from amorph2d.learning.evaluation.tables import Evaluation
    from amorph2d.learning.fit import FittedNetwork
    from amorph2d.learning.storage import TrainedNetwork
    from amorph2d.report.view import MicrographView

    Appearances = list[Appearance]
    Mask = NDArray[np.uint8]
else:
    Figure = PlotlyFigure = Any
    MicrographLoader = SimulatedSet = RecordLoader = TableLoader = Any
    Evaluation = FittedNetwork = TrainedNetwork = MicrographView = Any
    Appearances = Mask = Measured = Any

__all__ = [
    "Appearances",
    "Evaluation",
    "Figure",
    "FittedNetwork",
    "Mask",
    "Measured",
    "MicrographLoader",
    "MicrographView",
    "PlotlyFigure",
    "RecordLoader",
    "SimulatedSet",
    "TableLoader",
    "TrainedNetwork",
]
