"""anomalib's side of the comparison, run by an interpreter that has it: FOLDER -> a checkpoint, an export, figures.

FOLDER holds anomalib/{train,normal,sick,masks}; written are FOLDER/model.ckpt, export/weights/torch/model.pt and
figures.json, what anomalib itself says of its test set.
"""

import json
import sys
from pathlib import Path

import torch
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Padim


def main(folder):
    torch.manual_seed(0)
    images = folder / "anomalib"
    data = Folder(
        "drawn", root=images, normal_dir="train", normal_test_dir="normal", abnormal_dir="sick", mask_dir="masks",
        train_batch_size=8, eval_batch_size=8, num_workers=0, test_split_mode="from_dir",
        val_split_mode="same_as_test", seed=0,
    )  # fmt: skip
    model = Padim(
        layers=["layer1", "layer2"], n_features=20, pre_trained=False,
        pre_processor=Padim.configure_pre_processor((64, 64)), visualizer=False,
    )  # fmt: skip
    engine = Engine(
        accelerator="cpu", devices=1, logger=False, default_root_dir=folder / "engine", enable_progress_bar=False
    )
    engine.fit(model, datamodule=data)
    (figures,) = engine.test(model, datamodule=data, verbose=False)
    (folder / "figures.json").write_text(json.dumps({name: float(value) for name, value in figures.items()}))
    engine.trainer.save_checkpoint(folder / "model.ckpt")
    model.to_torch(folder / "export")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
