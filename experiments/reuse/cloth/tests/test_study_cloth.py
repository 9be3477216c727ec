"""experiment=cloth."""

from pneumo_ad import start_run
from pneumo_ad.evaluation import Evaluation


def test_it_trains_and_measures(tmp_path, pictures, tiny):
    run = start_run(tmp_path / "run", ["experiment=cloth", *pictures, *tiny, "stride=8"])
    assert run.config.net._target_.startswith("cloth_ad.nets.")
    assert 0 <= Evaluation(run).metrics["image/auroc"] <= 1
    assert (run.folder / "checkpoints" / "best.ckpt").is_file()
