"""experiment=cloth."""

import json

from pneumo_ad import start_run


def test_it_trains_and_measures(tmp_path, pictures, tiny):
    run = start_run(tmp_path / "run", ["experiment=cloth", *pictures, *tiny, "stride=8"])
    assert run.config.net._target_.startswith("cloth_ad.nets.")
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert 0 <= metrics["image/auroc"] <= 1
    assert (run.folder / "checkpoints" / "best.ckpt").is_file()
