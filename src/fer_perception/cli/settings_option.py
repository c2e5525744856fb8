"""The option --params: settings from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fer_perception.settings import PipelineSettings

ParamsOption = Annotated[
    Path | None,
    typer.Option(
        "--params", metavar="FILE", help="Settings: a ROS parameter file or flat YAML; else the node's defaults."
    ),
]


def load_settings(params: Path | None, *, deterministic_ids: bool | None = None) -> PipelineSettings:
    """The node's defaults, or the settings of a file.

    Args:
        params: the file.
        deterministic_ids: None: ids are numbered from f00001 unless the file says otherwise.

    Raises:
        ConfigError: see `read_pipeline_settings`.
    """
    from fer_perception.node_settings import NODE_ONLY
    from fer_perception.params_file import read_parameters, read_pipeline_settings
    from fer_perception.settings import PipelineSettings

    if params is None:
        return PipelineSettings(deterministic_ids=deterministic_ids is not False)
    if deterministic_ids is None and "deterministic_ids" in read_parameters(params):
        return read_pipeline_settings(params, node_only=NODE_ONLY)
    return read_pipeline_settings(params, node_only=NODE_ONLY, deterministic_ids=deterministic_ids is not False)
