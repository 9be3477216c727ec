"""Text of `example.py`, a program beside an exported model that does not need this package."""

from __future__ import annotations

from pneumo_ad.labels import RADIOGRAPH, Vocabulary

_READ = {
    "squash": """\
picture = Image.open(sys.argv[1]).convert("L").resize(size, Image.Resampling.BILINEAR)
""",
    # Centred as in `data.fit.place`: an odd pixel goes to the bottom and to the right.
    "pad": """\
whole = Image.open(sys.argv[1]).convert("L")
picture = ImageOps.pad(whole, size, Image.Resampling.BILINEAR, centering=(0.499, 0.499))
content = np.float32(ImageOps.pad(Image.new("L", whole.size, 1), size, centering=(0.499, 0.499)))[None, None]
""",
}
_RUN = {
    "onnx": "onnxruntime.InferenceSession(here / file).run(None, inputs)",
    "torch_export": "torch.export.load(here / file).module()(*map(torch.from_numpy, inputs.values()))",
}
_SAY = (
    "print(f\"score {score[0]:.6g} {about['unit']}, above {percentile[0]:.4g} % of "
    "{len(about['standard']['normals'])} held-out normals\")"
)
_LIBRARY = {"onnx": "onnxruntime", "torch_export": "torch"}


def example_text(form: str, suffix: str, fit: str, lungs: bool, terms: Vocabulary = RADIOGRAPH) -> str:
    """Return a program of twenty lines: `python example.py IMAGE.png MAP.png`.

    Args:
        form: Name of the format: `onnx` or `torch_export`.
        suffix: Suffix of the model's files, for example `.onnx`.
        fit: Method by which radiographs are fitted: `squash` or `pad`.
        lungs: Whether a lung segmenter is exported beside the model.
        terms: Words of the run.
    """
    padded = fit == "pad"
    imports = "\n".join(f"import {name}" for name in sorted([_LIBRARY[form], "numpy as np"]))
    if lungs:
        field = f'np.asarray(run("lungs{suffix}", image=image)[0] > 0.5, dtype=np.float32)'
    else:
        field = "content" if padded else "np.ones_like(image)"
    inputs = "image=image, lung_field=lung_field" + (", content=content" if padded else "")
    segmented = f"""
The {terms.field} is taken as the segmenter gives it, where pneumo_ad also drops small parts and fills holes: its scores
differ slightly from these.
"""
    return f'''"""Scores one {terms.image}: python example.py IMAGE.png MAP.png.{f" {terms.warning}".rstrip()}

Needs {_LIBRARY[form]}, numpy and pillow. Reads 8-bit files.{segmented.rstrip() if lungs else ""}
"""

import json
import sys
from pathlib import Path

{imports}
from PIL import {"Image, ImageOps" if padded else "Image"}


def run(file, **inputs):
    return {_RUN[form]}


here = Path(__file__).parent
about = json.loads((here / "model.json").read_text())
size = about["image_size"][::-1]  # width, height
{_READ[fit]}image = np.asarray(picture, dtype=np.float32)[None, None] / 255
lung_field = {field}
anomaly_map, _, score, percentile, *_ = run("model{suffix}", {inputs})
{_SAY}
greys = np.interp(np.asarray(anomaly_map[0, 0]), about["standard"]["window_range"], (0, 255))
Image.fromarray(np.nan_to_num(greys).astype(np.uint8)).save(sys.argv[2])  # black where no window lies
'''
