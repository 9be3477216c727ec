"""Loggers of a run's scalars, figures and results: TensorBoard, mlflow, Weights & Biases, csv."""

from pneumo_ad.loggers.mlflow import MLFlowRun
from pneumo_ad.loggers.run_logger import RunLogger, closing
from pneumo_ad.loggers.tensorboard import TensorBoardRun
from pneumo_ad.loggers.wandb import WandbRun

__all__ = ["MLFlowRun", "RunLogger", "TensorBoardRun", "WandbRun", "closing"]
