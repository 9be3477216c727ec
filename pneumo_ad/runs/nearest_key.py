"""Search for the known key nearest to an unknown one, by spelling and synonyms. No heavy imports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# Key -> its names in other projects, without `_`. If keys share a name, the first that the command knows is suggested.
SYNONYMS = {
    "trainer.max_epochs": "epoch epochs maxepoch nepoch nepochs numepochs trainepochs",
    "optimizer.lr": "learningrate baselr initlr",
    "optimizer.weight_decay": "wd l2",
    "data.root": "dir path folder input images datadir datafolder datapath dataroot datasetdir datasetpath rootdir",
    "data": "dataset datasource",
    "image_size": "size resolution imgsize imsize imgsz inputsize imageshape",
    "segmenter.image_size": "size resolution imgsize imsize imgsz inputsize imagesize imageshape",
    "patch": "patchsize windowsize crop cropsize",
    "stride": "step stepsize overlap",
    "batch_size": "batch bs trainbatchsize",
    "datamodule.batch_size": "batch bs trainbatchsize",
    "datamodule.num_workers": "workers nworkers numthreads",
    "trainer.devices": "gpu gpus ngpu ngpus numgpus",
    "trainer.accelerator": "device cuda",
    "trainer.precision": "amp fp16 bf16 mixedprecision dtype",
    "run": "model checkpointdir rundir runfolder",
    "net": "model arch architecture backbone network",
    "loss": "criterion lossfn lossfunction objective",
    "optimizer": "optim opt optimiser",
    "augment": "augmentation augmentations transform transforms",
    "seed": "randomseed randomstate manualseed",
    "output": "out outdir outputdir outputpath savedir resultsdir",
    "hydra.run.dir": "out output outdir outputdir outputpath savedir logdir resultsdir",
    "name": "expname experimentname runname study",
}


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the known key that an unknown one most likely means; empty if none is near.

    Args:
        key: Unknown dotted key.
        known: Known dotted keys; among equally near keys the first is returned.

    >>> nearest("epochs", ["per_epoch", "trainer.max_epochs"]), nearest("net.widht", ["width", "net.width"])
    ('trainer.max_epochs', 'net.width')
    """
    above, name = _parts(key)
    known = list(known)
    cutoff = 0.7 if key.startswith("hydra") else 0.9
    if "." in key and (near := get_close_matches(key, known, 1, cutoff)):
        return near[0]
    own = [one for one in known if not one.startswith("hydra") or "hydra/" in key]
    synonymous = [one for one, words in SYNONYMS.items() if _bare(name) in words.split() and one in known]
    same_name = [one for one in own if _bare(_parts(one)[1]) == _bare(name)]
    same_name.sort(key=lambda one: (_parts(one)[0] != above, one.count(".")))
    if found := [*synonymous, *same_name]:
        return found[0]
    siblings = {_parts(one)[1]: one for one in own if _parts(one)[0] == above}
    if near := get_close_matches(name, siblings, 1, 0.6 if len(name) < 5 else 0.7):
        return siblings[near[0]]
    anywhere = {_parts(one)[1]: one for one in reversed(own)}
    near = get_close_matches(name, anywhere, 1, 0.8)
    return anywhere[near[0]] if near else ""


def is_other_name(key: str, known: str) -> bool:
    """Whether a key is another spelling, or a synonym, of a known one.

    Args:
        key: Unknown dotted key.
        known: Known dotted key.
    """
    word = _bare(_parts(key)[1])
    return word == _bare(_parts(known)[1]) or word in SYNONYMS.get(known, "").split()


def _parts(key: str) -> tuple[str, str]:
    above, _, name = key.rpartition(".")
    return above, name


def _bare(name: str) -> str:
    return re.sub(r"[_-]", "", name).lower()
