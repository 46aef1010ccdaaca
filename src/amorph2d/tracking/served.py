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
    """Maps of images.

    Input: (N, H, W) float32 images at the network's sampling, any grey scale.
    Output: (N, channels, H, W) float32 heat maps or probabilities between 0 and 1; for a network of the
    background, its grey values.
    """

    def load_context(self, context: Any) -> None:
        """Load the network beside which this file was stored."""
        from amorph2d.learning.storage import load_network

        self._network = load_network(Path(context.artifacts["weights"]).parent)

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> np.ndarray:  # noqa: ARG002
        """Return the maps of each image."""
        images = np.asarray(model_input, np.float32)
        if len(images) == 0:
            return np.zeros((0, len(self._network.config.channels), *images.shape[1:]), np.float32)
        draw = self._background if self._network.config.output == "background" else self._maps
        return np.stack([draw(image) for image in images])

    def _maps(self, image: np.ndarray) -> np.ndarray:
        """Return the heat maps or probabilities of an image, (channels, H, W)."""
        from amorph2d.localisation.heatmaps import run_network
        from amorph2d.localisation.maps import network_input

        config = self._network.config
        source = network_input(image, sampling=(config.sampling, config.sampling), config=config)
        rows, columns = source.shape
        return run_network(self._network, source.read(slice(0, rows), slice(0, columns)))

    def _background(self, image: np.ndarray) -> np.ndarray:
        """Return the background of an image in its grey values, (1, H, W)."""
        from amorph2d.localisation.areas import estimate_background
        from amorph2d.localisation.config import LocalisationParameters

        sampling = self._network.config.sampling
        # One tile: the whole image.
        parameters = LocalisationParameters(
            tile_size=2 * max(image.shape) + 4 * self._network.config.receptive_field,
            batch_size=1,
            thresholds={},
            min_distance=0.0,
            border=0.0,
            precision="auto",
        )
        return estimate_background(
            image, sampling=(sampling, sampling), network=self._network, parameters=parameters
        )[None]


set_model(ServedNetwork())
