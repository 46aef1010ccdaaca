"""Kedro settings of the project; see https://docs.kedro.org."""

from kedro.config import OmegaConfigLoader

from amorph2d.hooks import TrackingHooks

HOOKS = (TrackingHooks(),)
CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**"]},
}
