"""The parts of pneumo_ad in a bare torch loop, without Hydra and without Lightning's Trainer."""

import torch

from pneumo_ad.data import PatchDataModule
from pneumo_ad.data.sources import phantom
from pneumo_ad.losses import DiceLoss
from pneumo_ad.lungs import AutoFields
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.scores import SAD

torch.manual_seed(0)
table = phantom(normal=24, pneumonia=9, size=128)  # your own: whatever pneumo_ad.data.sources.table.check_table accepts
data = PatchDataModule(table, image_size=128, lungs=AutoFields(), patch=16, stride=8)
net, loss, sad = UNetAutoencoder(width=8), DiceLoss(), SAD()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

train = data.train_dataloader()  # decodes the files once, into the cache; windows wholly inside normal lungs
normal_lung, _, pneumonia = data.test_dataloader()  # of other patients; in the order of pneumo_ad.data.VAL_KINDS


def mean_sad(batches) -> float:
    """Grey levels per pixel, over all windows of a loader."""
    net.eval()
    with torch.inference_mode():
        inputs = (batch["patch"] / 255 for batch in batches)  # uint8 until here: nets and scores want [0, 1]
        return torch.cat([sad.score(x, net(x)) for x in inputs]).mean().item()


def report(when: str) -> None:
    """Every window of a pneumonia radiograph counts, most of them outside the lung; normal ones count inside alone."""
    print(f"{when}: SAD of normal lung {mean_sad(normal_lung):.2f}, of pneumonia windows {mean_sad(pneumonia):.2f}")


report("untrained")
for epoch in range(5):
    net.train()
    train.sampler.set_epoch(epoch)  # a new order each epoch, the same in each run; a Trainer would do this
    for batch in train:
        x = batch["patch"] / 255
        optimizer.zero_grad()
        loss(x, net(x)).backward()
        optimizer.step()
    report(f"epoch {epoch + 1}")
