"""How much of a classifier's Grad-CAM lies inside the lung, by layer and method, trained and untrained.

    python experiments/classifier/layers.py RUN ...

HiResCAM (Draelos and Carin 2020) weighs each place by its own gradient, where Grad-CAM takes the map's mean.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradientXActivation

from pneumo_ad.classifier import RadiographCNN, compare_with_area, grad_cam, share_inside
from pneumo_ad.classify import load_classifier


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


def main(runs):
    """Print a table."""
    print("| run | net | maps | method | share in the lung | over area | all 0 |")
    print("| --- " * 7 + "|")
    for run in runs:
        classifier, data = load_classifier(Path(run))
        rows = data.rows("test", "pneumonia")
        some = data.store.images[data.rows("train")[::57]]
        fresh = untrained(torch.from_numpy(some)[:, None].float() / 255)
        nets = {"trained": classifier.net, "untrained": fresh}
        for name, net in nets.items():
            net.eval()
            layers = {"before the norm": net.features, "after the norm": net.norm}
            found = {(layer, method): [] for layer in layers for method in ("Grad-CAM", "HiResCAM")}
            areas = []
            for batch in data.in_order(rows):
                pixels, fields = batch["image"].float() / 255, np.asarray(data.lung_fields[batch["row"].numpy()])
                areas.append(fields.mean(axis=(1, 2)))
                for (layer, method), shares in found.items():
                    cam = (grad_cam if method == "Grad-CAM" else hires_cam)(net, layers[layer], pixels)
                    shares.append(share_inside(cam, fields))
            area, patients = np.concatenate(areas), data.store.table["patient"].to_numpy(dtype=str)[rows]
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


if __name__ == "__main__":
    main(sys.argv[1:])
