"""What `so1s publish` and `so1s scale` ask about scaling."""

from __future__ import annotations

from typing import Annotated

import typer

MinReplicas = Annotated[int | None, typer.Option(help="At least so many run.", show_default=False)]
MaxReplicas = Annotated[int | None, typer.Option(help="At most so many run.", show_default=False)]
CpuPercent = Annotated[
    int | None, typer.Option(help="Autoscaling target, of the reserved CPU.", show_default=False)
]
GpuPercent = Annotated[
    int | None, typer.Option(help="Autoscaling target, of the reserved GPUs.", show_default=False)
]
RequestsPerSecond = Annotated[
    float | None, typer.Option(help="Autoscaling target, a replica.", show_default=False)
]
Concurrency = Annotated[float | None, typer.Option(help="Autoscaling target, a replica.", show_default=False)]
LatencyP90 = Annotated[float | None, typer.Option(help="Autoscaling target.", show_default=False)]
LatencyP99 = Annotated[float | None, typer.Option(help="Autoscaling target.", show_default=False)]
ScaleUpWindow = Annotated[int | None, typer.Option(help="How long targets must ask.", show_default=False)]
ScaleDownWindow = Annotated[int | None, typer.Option(help="How long a dip must last.", show_default=False)]
ScaleUpPace = Annotated[int | None, typer.Option(help="At most so many come.", show_default=False)]
ScaleDownPace = Annotated[int | None, typer.Option(help="At most so many go.", show_default=False)]
