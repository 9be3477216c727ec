"""Curves and maps of validation: right against independent figures, of the same radiographs, on one scale."""

import functools

import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_set

from pneumo_ad.callbacks import AnomalyMaps, PrecisionRecall
from pneumo_ad.data import PatchDataModule, sources
from pneumo_ad.evaluation import gather_ground_truth
from pneumo_ad.inference import score_radiographs
from pneumo_ad.labels import IN_OPACITY, OPACITY, OUTSIDE
from pneumo_ad.loggers import RunLogger
from pneumo_ad.losses import L1Loss
from pneumo_ad.lungs import FileFields
from pneumo_ad.metrics import auroc
from pneumo_ad.metrics.catalogue import pixel_values
from pneumo_ad.modules import PatchAutoencoder
from pneumo_ad.nets import UNetAutoencoder

IMAGES = 3


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return sources.masks(write_set(tmp_path_factory.mktemp("curves") / "set", normal=10, pneumonia=10), val=0.5)


class Noting(RunLogger):
    """Keeps what it is told."""

    experiment = None

    def __init__(self, folder):
        super().__init__(folder, "torch", "noting")
        self.figures, self.texts, self.curves, self.scalars = [], [], [], []

    def _open(self):
        return self

    def _close(self, outcome):
        pass

    def log_hyperparams(self, params, *_, **__):
        pass

    def log_metrics(self, metrics, step=None):
        self.scalars.append((step, metrics))

    def log_figure(self, name, figure, step):
        self.figures.append((name, figure, step))

    def log_text(self, name, text, step):
        self.texts.append((name, text))

    def log_curve(self, name, counts, step):
        self.curves.append((name, counts, step))


def trained(table, folder, callbacks, epochs=3, **options):
    torch.manual_seed(0)
    data = PatchDataModule(
        table, image_size=64, patch=8, stride=6, lungs=FileFields(), batch_size=16, val_images=IMAGES
    )
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    module = PatchAutoencoder(UNetAutoencoder(width=4), L1Loss(), adam)
    logger = Noting(folder)
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=logger, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=callbacks, log_every_n_steps=1, **options,
    )  # fmt: skip
    trainer.fit(module, data)
    return module, data.radiographs, logger


def scored(module, data, rows):
    (part,) = score_radiographs(module.net, {"score": module.score}, data.images, rows, data.grid, map_of="score")
    return part.scores["score"], part.maps["score"]


def test_curves_and_aurocs_are_those_of_the_windows_and_pixels_scored_anew(table, tmp_path):
    module, data, logger = trained(table, tmp_path, [PrecisionRecall(every_n_epochs=2)])
    rows = np.sort(np.concatenate([data.exhaustive_patches("val", label, IMAGES).rows for label in
                                   ("normal", "pneumonia")]))  # fmt: skip
    scores, maps = scored(module.eval(), data, rows)
    evidence = gather_ground_truth(data, rows)
    values = pixel_values(evidence, dict(enumerate(maps)))
    opaque = pixel_values(evidence, evidence.pixel_truth) == IN_OPACITY
    last = {key: value for _, metrics in logger.scalars for key, value in metrics.items()}
    assert last["val/auroc_pixel"] == pytest.approx(auroc(values, opaque), abs=1e-5)
    for kind, name in ((OPACITY, "opacity"), (OUTSIDE, "outside")):
        both = (evidence.kind == kind) | (evidence.kind == 0)
        expected = auroc(scores[both], evidence.kind[both] == kind)
        assert last[f"val/auroc_patch_{name}_vs_healthy"] == pytest.approx(expected, abs=1e-5)
    sick = np.repeat(evidence.pneumonia, len(data.grid))
    assert last["val/auroc_patch_pneumonia_vs_normal"] == pytest.approx(auroc(scores.ravel(), sick), abs=1e-5)
    curves = {name: (counts, step) for name, counts, step in logger.curves}
    both = evidence.kind <= OPACITY
    for name, score, true in (
        ("pixel", values, opaque),
        ("patch_opacity_vs_healthy", scores[both], evidence.kind[both] == OPACITY),
    ):
        (tp, fp, tn, fn), step = curves[f"precision_recall_val/{name}"]
        assert step == logger.scalars[-1][0]
        threshold = np.quantile(score, 0.9, method="lower")
        called = score >= threshold - 1e-4
        assert tp[90] == pytest.approx((called & true).sum(), abs=2)
        assert fp[90] == pytest.approx((called & ~true).sum(), abs=2)
        assert (tp + fn == true.sum()).all()
        assert (fp + tn == (~true).sum()).all()
    assert not logger.texts


def test_where_validation_is_normal_alone_a_text_says_so_once(table, tmp_path):
    normals = table[(table["label"] == "normal") | (table["split"] != "val")].reset_index(drop=True)
    _, _, logger = trained(normals, tmp_path, [PrecisionRecall(every_n_epochs=1)])
    ((name, text),) = logger.texts
    assert name == "left_out/precision_recall_val"
    assert "`patch_opacity_vs_healthy` and `pixel`" in text
    assert f"of the {IMAGES} radiographs that validation scores, 0 hold" in text
    assert not logger.curves
    logged = {key for _, metrics in logger.scalars for key in metrics}
    assert "val/auroc_patch_outside_vs_healthy" in logged  # needs no opacity
    assert not logged & {"val/auroc_pixel", "val/auroc_patch_opacity_vs_healthy"}


def test_windows_that_validation_leaves_out_are_left_out(table, tmp_path):
    _, data, logger = trained(table, tmp_path, [PrecisionRecall(1)], epochs=1, limit_val_batches=1)
    assert [name for name, *_ in logger.curves] == []  # of each kind the first 16 windows, at the top border
    ((_, text),) = logger.texts
    assert "0 were scored window by window" in text
    assert len(data.grid) > 16


def test_maps_are_of_the_same_radiographs_on_the_scale_of_the_first(table, tmp_path):
    callback = AnomalyMaps(radiographs=2, every_n_epochs=1)
    module, data, logger = trained(table, tmp_path, [callback])
    drawn = [figure for name, figure, _ in logger.figures if name == "maps/anomaly"]
    assert len(drawn) == 3
    shown, scales, epochs = [], set(), []
    for figure in drawn:
        axes = [axis for axis in figure.axes if axis.images]
        shown.append([np.asarray(axis.images[0].get_array()) for axis in axes[:4]])
        scales.add(axes[-1].images[0].get_clim())
        epochs.append(figure.get_suptitle())
    for pictures in zip(*shown, strict=True):
        assert all(np.array_equal(pictures[0], one) for one in pictures)
    assert scales == {(0.0, callback.state_dict()["top"])}
    assert [f"after epoch {n}" in words for n, words in enumerate(epochs, 1)] == [True] * 3
    rows = np.concatenate([data.exhaustive_patches("val", label, 2).rows for label in ("pneumonia", "normal")])
    scores, _ = scored(module.eval(), data, rows)
    shares = data.grid.window_shares(data.lung_fields[rows])
    titles = [axis.get_title() for axis in drawn[-1].axes if axis.get_title()]
    for row, values, share, title in zip(rows, scores, shares, titles, strict=True):
        image, label = data.store.table.loc[row, ["image", "label"]]
        assert title == f"{image}\n{label}, score {values[share > 0.5].mean():.3g}"


def test_the_scale_is_that_of_the_checkpoint(table, tmp_path):
    callback = AnomalyMaps(radiographs=1, every_n_epochs=1)
    callback.load_state_dict({"top": 12.5})
    _, _, logger = trained(table, tmp_path, [callback], epochs=1)
    (figure,) = [figure for name, figure, _ in logger.figures if name == "maps/anomaly"]
    assert {axis.images[0].get_clim() for axis in figure.axes if axis.images} == {(0.0, 255.0), (0.0, 12.5)}
    assert callback.state_dict() == {"top": 12.5}
