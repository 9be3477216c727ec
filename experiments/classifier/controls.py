"""What a share of Grad-CAM in the lung is worth: by layer and method, of an untrained net, with pixels painted over.

    python experiments/classifier/controls.py RUN ...

An untrained net has nothing to show: what its map shows is the method's own (Adebayo et al. 2018, NeurIPS). HiResCAM
(Draelos and Carin 2020) weighs each place by its own gradient, where Grad-CAM takes the map's mean.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradientXActivation

from pneumo_ad.classifier import RadiographCNN, compare_with_area, grad_cam, share_inside
from pneumo_ad.metrics import auroc_with_interval
from pneumo_ad.runs.classifying import load_classifier


def hires_cam(net, layer, x):
    """As `grad_cam`."""
    maps = LayerGradientXActivation(net, layer).attribute(x).sum(dim=1, keepdim=True).relu()
    return LayerAttribution.interpolate(maps.detach(), tuple(x.shape[2:]), "bilinear")[:, 0].numpy()


def untrained(x):
    """A net with fresh weights and the batch statistics of some radiographs: what the method shows of its own."""
    torch.manual_seed(0)
    net = RadiographCNN().to(memory_format=torch.channels_last)
    net.norm.momentum = 1.0
    net(x)
    return net


def painted_over(classifier, data):
    """AUROC as it is, with the lung field painted over, and with all but the lung field, in the radiograph's mean."""
    rows = data.rows("test")
    logits = {"as it is": [], "lung painted over": [], "all but the lung painted over": []}
    for batch in data.in_order(rows):
        x, row = batch["patch"].float() / 255, batch["where"][:, 0].numpy()
        field = torch.from_numpy(data.radiographs.lung_fields[row])[:, None] == 1
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        versions = (x, torch.where(field, mean, x), torch.where(field, x, mean))
        with torch.no_grad():
            for kept, version in zip(logits.values(), versions, strict=True):
                kept.append(classifier.net(version).numpy())
    table = data.radiographs.store.table.iloc[rows]
    sick, patients = (table["label"] == "pneumonia").to_numpy(), table["patient"].to_numpy(dtype=str)
    return {name: auroc_with_interval(np.concatenate(parts), sick, patients) for name, parts in logits.items()}


def main(runs):
    """Print two tables."""
    print("| run | net | maps | method | share in the lung | over area | all 0 |")
    print("| --- " * 7 + "|")
    for run in runs:
        classifier, data = load_classifier(Path(run))
        rows = data.radiographs.rows("test", "pneumonia")
        some = data.radiographs.store.images[data.rows("train")[::57]]
        fresh = untrained(torch.from_numpy(some)[:, None].float() / 255)
        nets = {"trained": classifier.net, "untrained": fresh}
        for name, net in nets.items():
            net.eval()
            layers = {"before the norm": net.features, "after the norm": net.norm}
            found = {(layer, method): [] for layer in layers for method in ("Grad-CAM", "HiResCAM")}
            areas = []
            for batch in data.in_order(rows):
                pixels, row = batch["patch"].float() / 255, batch["where"][:, 0].numpy()
                fields = np.asarray(data.radiographs.lung_fields[row])
                areas.append(fields.mean(axis=(1, 2)))
                for (layer, method), shares in found.items():
                    cam = (grad_cam if method == "Grad-CAM" else hires_cam)(net, layers[layer], pixels)
                    shares.append(share_inside(cam, fields))
            area, patients = np.concatenate(areas), data.radiographs.store.table["patient"].to_numpy(dtype=str)[rows]
            for (layer, method), parts in found.items():
                share = np.concatenate(parts)
                seen = ~np.isnan(share) & (area > 0)
                told = compare_with_area(share[seen], area[seen], patients[seen]) if seen.any() else {}
                cells = [
                    "{:.3f} ({:.3f}–{:.3f})".format(*told[key]) if told else "–" for key in ("share_in_lung", "ratio")
                ]
                print(
                    f"| {Path(run).name} | {name} | {layer} | {method} | {' | '.join(cells)} | {int((~seen).sum())} |"
                )
    print("\n| run | pixels | AUROC |\n" + "| --- " * 3 + "|")
    for run in runs:
        for name, found in painted_over(*load_classifier(Path(run))).items():
            print("| {} | {} | {:.3f} ({:.3f}–{:.3f}) |".format(Path(run).name, name, *found))


if __name__ == "__main__":
    main(sys.argv[1:])
