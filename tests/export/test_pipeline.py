"""The graph says what scoring says, whatever net, score and options; and what a plain loop says."""

import functools
from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest
import torch
from drawn import lung_mask, radiograph
from torch import nn

from pneumo_ad.data.intensity import AsStored, LungFieldIntensity
from pneumo_ad.errors import ConfigError
from pneumo_ad.export.formats import FORMATS, trace_graph
from pneumo_ad.export.pipeline import Pipeline
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.inference.radiographs import Loaded
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.nets import FeatureGaussian, KindUNet, NormalLung, Output, UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.scores import SAD
from pneumo_ad.scores.aggregates import Aggregate, Highest, Mean, TopFraction

OUTPUTS = ("anomaly_map", "window_scores", "score", "percentile")
CONF = Path(next(iter(pneumo_ad.conf.__path__)))
NETS, SCORES = (
    sorted(file.stem for file in (CONF / group).glob("*.yaml") if file.stem != "anomalib") for group in ("net", "score")
)
GRID = PatchGrid((64, 96), patch=16, stride=12)  # windows overlap and leave a border
NORMALS = np.array([0.1, 1.0, 3.0, 7.0, 20.0], dtype=np.float32)


@functools.cache
def config_of(group, name):
    return compose_config("train", [f"{group}={name}", "patch=16"])[group]


@functools.cache
def net_of(name):
    if name in ("aligned_gaussian", "feature_gaussian"):
        pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    config = config_of("net", name)
    net = build(config, **({"width": 4} if "width" in config else {})).eval()
    if hasattr(net, "observe"):
        pictures = torch.rand(40, 1, *GRID.image_size, generator=torch.Generator().manual_seed(0))
        net.observe(pictures, torch.ones_like(pictures))
    return net


def view_of(net):
    return "image" if isinstance(net, (FeatureGaussian, KindUNet, NormalLung)) else "patch"


@functools.cache
def radiographs():
    """Four, as nets see them, with lung fields and content: the last has no lung, two have padding."""
    images = np.stack([radiograph(seed, *GRID.image_size, sick=seed % 2) for seed in range(4)])
    fields = np.stack([lung_mask(*GRID.image_size).astype(np.uint8)] * 4)
    content = np.ones_like(images)
    content[1, :, :20], content[2, :, -9:] = 0, 0
    fields[3] = 0
    return images * content, fields * content, content


def pipeline_of(net, score, map_of="score", aggregate=None, relative=None, intensity=None):
    aggregate, intensity = aggregate or Mean(), intensity or AsStored()
    return Pipeline(GRID, view_of(net), net, score, map_of, aggregate, relative, intensity, NORMALS).eval()


def inputs():
    images, fields, content = (torch.from_numpy(part[:, None]).float() for part in radiographs())
    return {"image": images / 255, "lung_field": fields, "content": content}


def expected(net, score, map_of="score", aggregate=None, relative=None, intensity=None):
    """What `Scoring` and `Calibration` say, with numpy."""
    images, fields, content = radiographs()
    seen = (intensity or AsStored()).of_images(images, fields, content)
    loaded = Loaded(GRID, view_of(net), seen, fields, content)
    scoring = Scoring(net, score, map_of, 64, torch.float32, aggregate or Mean(), relative)
    rows = np.arange(len(images))
    (part,) = scoring(loaded, rows, None, maps=True, alone=True)
    scores = scoring.of_radiographs(part, "score", lung_shares(loaded, rows), fields)
    percentiles = Calibration("", "", NORMALS, 0.1, None, (0, 1)).percentiles(scores)
    return part.maps["score"][:, None], part.scores["score"], scores, percentiles


def assert_same(found, wanted, share=2e-5):
    for name, ours, theirs in zip(OUTPUTS, found, wanted, strict=True):
        scale = np.nanmax(np.abs(theirs))
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=share * scale, err_msg=name)


@functools.cache
def fitting(net):
    """Names of the scores that go with a net; for the others, the error says which net they need."""
    refused = {}
    for name in SCORES:
        try:
            with torch.no_grad():
                pipeline_of(net_of(net), build(config_of("score", name)))(**inputs())
        except ConfigError as reason:
            refused[name] = str(reason)
    assert all(f"score={name} needs a net" in words and " net=" in words for name, words in refused.items()), refused
    return [name for name in SCORES if name not in refused]


@pytest.mark.parametrize("net", NETS)
def test_every_net_and_score_that_go_together_are_scored_alike(net):
    assert fitting(net)
    for name in fitting(net):
        score = build(config_of("score", name))
        with torch.no_grad():
            assert_same(pipeline_of(net_of(net), score)(**inputs()), expected(net_of(net), score))


@pytest.mark.parametrize("net", NETS)
def test_every_net_is_exported_for_batches_of_any_size(net, tmp_path):
    names = fitting(net)
    score = build(config_of("score", names[NETS.index(net) % len(names)]))  # now this one, now that
    file = tmp_path / "model.onnx"
    FORMATS["onnx"].save(trace_graph(pipeline_of(net_of(net), score), inputs()), list(inputs()), OUTPUTS, file)
    graph = FORMATS["onnx"].open(file)
    wanted = expected(net_of(net), score)
    given = [part.numpy() for part in inputs().values()]
    assert_same(graph(*given), wanted)
    assert_same(graph(*(part[:1] for part in given)), [part[:1] for part in wanted])


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_exported(name, tmp_path):
    net = net_of(next(net for net in NETS if name in fitting(net)))
    score = build(config_of("score", name))
    file = tmp_path / "model.pt2"
    FORMATS["torch_export"].save(trace_graph(pipeline_of(net, score), inputs()), list(inputs()), OUTPUTS, file)
    graph = FORMATS["torch_export"].open(file)
    given = [part.numpy() for part in inputs().values()]
    assert_same(graph(*given), expected(net, score))
    assert_same(graph(*(part[2:3] for part in given)), [part[2:3] for part in expected(net, score)])


OPTIONS = {
    "relative, top patches, lung intensity": {
        "relative": 0.2, "aggregate": TopFraction(0.3), "intensity": LungFieldIntensity(),
    },
    "residual maps, mean of pixels": {"map_of": "residual", "aggregate": Mean(of="pixels")},
    "relative, top pixels": {"relative": 0.9, "aggregate": TopFraction(0.05, of="pixels")},
    "highest pixel, whole range": {
        "aggregate": Highest(of="pixels"), "map_of": "residual", "intensity": LungFieldIntensity(0.1, 1),
    },
    "highest patch": {"aggregate": Highest()},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_are_in_the_graph(options, tmp_path):
    file, net = tmp_path / "model.onnx", net_of("unet")
    with torch.no_grad():  # before ONNX has its own arithmetic, they are the same functions
        assert_same(pipeline_of(net, SAD(), **options)(**inputs()), expected(net, SAD(), **options), 1e-6)
    FORMATS["onnx"].save(trace_graph(pipeline_of(net, SAD(), **options), inputs()), list(inputs()), OUTPUTS, file)
    found = FORMATS["onnx"].open(file)(*(part.numpy() for part in inputs().values()))
    assert_same(found, expected(net, SAD(), **options))
    assert np.isnan(found[2]).tolist() == [False, False, False, True]  # the last has no lung
    assert np.isnan(found[0][..., 88:]).all()  # no window lies there


def test_a_plain_loop_says_the_same():
    net = net_of("unet")
    x, field = inputs()["image"][:1], inputs()["lung_field"][:1]
    total, count, scores, in_lung = np.zeros((64, 96)), np.zeros((64, 96)), [], []
    for top in range(0, 64 - 15, 12):
        for left in range(0, 96 - 15, 12):
            window = x[..., top : top + 16, left : left + 16]
            with torch.no_grad():
                residual = 255 * (window - net(window).reconstruction).abs()[0, 0].numpy()
            total[top : top + 16, left : left + 16] += residual
            count[top : top + 16, left : left + 16] += 1
            scores.append(residual.mean())
            in_lung.append(field[..., top : top + 16, left : left + 16].mean().item() > 0.5)
    score = np.mean(np.array(scores)[in_lung])
    found = pipeline_of(net, SAD(), map_of="residual")(x, field)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found[0][0, 0], total / count, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1][0], scores, rtol=1e-5)
    np.testing.assert_allclose(found[2], [score], rtol=1e-5)
    np.testing.assert_allclose(found[3], [100 * np.mean(score > NORMALS)], rtol=1e-5)


def test_a_fine_stride_goes_through_the_net_in_steps():
    sizes = []

    class Copy(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return Output(x * 0.5)

    grid = PatchGrid((64, 96), patch=16, stride=1)
    pipeline = Pipeline(grid, "patch", Copy(), SAD(), "score", Mean(), None, AsStored(), NORMALS)
    pipeline(inputs()["image"][:1], inputs()["lung_field"][:1])
    assert sum(sizes) == len(grid)
    assert max(sizes) <= 256
    assert len(sizes) <= 32


class Median(Aggregate):
    def aggregate(self, values, inside):
        return np.median(values, axis=1)


class Darker:
    def one(self, image, inside):
        return image // 2


def test_what_no_graph_can_hold_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"Median cannot be exported.*aggregate=top"):
        pipeline_of(net_of("unet"), SAD(), aggregate=Median())
    with pytest.raises(ConfigError, match=r"Darker cannot be exported.*intensity=lung_field"):
        pipeline_of(net_of("unet"), SAD(), intensity=Darker())


class Moody(UNetAutoencoder):
    """Another picture where the patches are bright."""

    def forward(self, x):
        return super().forward(x) if x.mean() > 0.5 else Output(x)


def test_a_net_that_looks_at_its_values_is_refused_by_name():
    with pytest.raises(ConfigError, match="Moody cannot be exported in any format"):
        trace_graph(pipeline_of(Moody(width=4), SAD()), inputs())
