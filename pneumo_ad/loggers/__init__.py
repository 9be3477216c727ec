"""Where scalars, pictures and outcomes of a run go, besides its folder: TensorBoard, mlflow, Weights & Biases, csv."""

from pneumo_ad.loggers.mlflow import MLFlowRun
from pneumo_ad.loggers.run_logger import RunLogger, closing
from pneumo_ad.loggers.wandb import WandbRun

__all__ = ["MLFlowRun", "RunLogger", "WandbRun", "closing"]
