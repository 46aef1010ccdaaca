"""The model that MLflow stores and serves: this file, safetensors and JSON, nothing pickled.

MLflow runs a copy of this file when a registered version is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ServedNetwork(PythonModel):
    """Heat maps of images.

    Input: (N, H, W) float32 images at the network's sampling, any grey scale.
    Output: (N, channels, H, W) float32 heat maps between 0 and 1.
    """

    def load_context(self, context: Any) -> None:
        """Load the network beside which this file was stored."""
        from amorph2d.learning.storage import load_network

        self._network = load_network(Path(context.artifacts["weights"]).parent)

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> np.ndarray:  # noqa: ARG002
        """Return the heat maps of normalised images."""
        from amorph2d.localisation.heatmaps import run_network
        from amorph2d.localisation.normalise import normalise

        config = self._network.config
        sigma = config.normalisation_window / config.sampling
        maps = [
            run_network(self._network, normalise(image, sigma))
            for image in np.asarray(model_input, np.float32)
        ]
        if not maps:
            return np.zeros((0, len(config.channels), *model_input.shape[1:]), np.float32)
        return np.stack(maps)


set_model(ServedNetwork())
