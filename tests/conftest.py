from pathlib import Path

import pytest
from hypothesis import settings

# The same examples at every run, on every machine, however busy; `--hypothesis-profile=explore` looks for
# new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=1000)
settings.load_profile("repeatable")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def project():
    return ROOT


@pytest.fixture(scope="session")
def realdata():
    folder = ROOT.parent / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip("the folder shared/realdata is not there")
    return folder


@pytest.fixture(scope="session")
def parameters_of():
    """Parameters of an environment, as Kedro reads them."""
    from kedro.config import OmegaConfigLoader

    from amorph2d.settings import CONFIG_LOADER_ARGS

    def read(environment):
        arguments = CONFIG_LOADER_ARGS | {"default_run_env": "local"}
        return OmegaConfigLoader(str(ROOT / "conf"), env=environment, **arguments)["parameters"]

    return read


@pytest.fixture(scope="session")
def synthesis(parameters_of):
    """Make synthesis parameters that differ from the base in what is given."""
    from amorph2d.imaging.config import SynthesisParameters

    base = parameters_of("local")["synthesis"]

    def make(**changes):
        merged = {
            name: value | changes[name]
            if isinstance(value, dict) and name in changes
            else changes.get(name, value)
            for name, value in base.items()
        }
        return SynthesisParameters(**merged, **{name: changes[name] for name in changes.keys() - base.keys()})

    return make
