"""JupyterHub's configuration: class.toml and roster.csv of this folder, turned into settings by torchgrade.hub."""

from pathlib import Path

from torchgrade.hub.configure import configure

configure(get_config(), Path(__file__).parent)  # type: ignore[name-defined]  # noqa: F821
