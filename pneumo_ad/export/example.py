"""`example.py`, which goes with an exported model and needs nothing of this project."""

from __future__ import annotations

_READ = {
    "squash": """\
picture = Image.open(sys.argv[1]).convert("L").resize((width, height), Image.Resampling.BILINEAR)
""",
    "pad": """\
whole = Image.open(sys.argv[1]).convert("L")
scale = min(height / whole.height, width / whole.width)
inner = [max(1, min(width, round(whole.width * scale))), max(1, min(height, round(whole.height * scale)))]
left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
picture = Image.new("L", (width, height))
picture.paste(whole.resize(inner, Image.Resampling.BILINEAR), (left, top))
content = np.zeros((1, 1, height, width), dtype=np.float32)
content[..., top : top + inner[1], left : left + inner[0]] = 1
""",
}
_RUN = {
    "onnx": (
        "import onnxruntime",
        """\
def run(name, **inputs):
    return onnxruntime.InferenceSession(here / name).run(None, inputs)


""",
    ),
    "torch_export": (
        "import torch",
        """\
def run(name, **inputs):
    found = torch.export.load(here / name).module()(*map(torch.from_numpy, inputs.values()))
    return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]


""",
    ),
}


def example_text(form: str, suffix: str, fit: str, lungs: bool) -> str:
    """A program of some twenty lines: `python example.py RADIOGRAPH.png MAP.png`.

    Args:
        form: Format of the model.
        suffix: Of its files.
        fit: How radiographs are fitted.
        lungs: Whether there is a lung segmenter beside the model.
    """
    library, run = _RUN[form]
    imports = sorted([library, "import numpy as np"], key=lambda line: line.split()[1])
    everywhere = "content" if fit == "pad" else "np.ones_like(image)"
    field = f'(run("lungs{suffix}", image=image)[0] > 0.5).astype(np.float32)' if lungs else everywhere
    return f'''"""Scores one radiograph: python example.py RADIOGRAPH.png MAP.png. Not a medical device.

Needs {library.removeprefix("import ")}, numpy and pillow. Reads 8-bit files; the lung field is taken as the segmenter gives it, where
pneumo_ad also drops small parts and fills holes, so that its scores differ slightly from these.
"""

import json
import sys
from pathlib import Path

{chr(10).join(imports)}
from PIL import Image

{run}here = Path(__file__).parent
about = json.loads((here / "model.json").read_text())
height, width = about["image_size"]
{_READ[fit]}image = np.asarray(picture, dtype=np.float32)[None, None] / 255
lung_field = {field}
anomaly_map, windows, score, percentile = run("model{suffix}", image=image, lung_field=lung_field{", content=content" if fit == "pad" else ""})
print(f"score {{score[0]:.6g}} {{about['unit']}}, above {{percentile[0]:.4g}} % of held-out normal radiographs")
low, high = about["standard"]["window_range"]  # black and white of the picture; black too where no window lies
grey = np.nan_to_num(np.clip((anomaly_map[0, 0] - low) / (high - low), 0, 1))
Image.fromarray((255 * grey).astype(np.uint8)).save(sys.argv[2])
'''
