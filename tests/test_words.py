"""A project about cloth reads of cloth: no word of chest radiography is printed, written for readers, or drawn."""

import logging
import re
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from html import unescape
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from omegaconf import OmegaConf
from PIL import Image
from running import start

from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.loggers import TensorBoardRun
from pneumo_ad.runs.arguments import choices
from pneumo_ad.runs.compose import compose_config, vocabulary_of
from pneumo_ad.runs.past import to_today
from pneumo_ad.runs.trust import trust

CLOTH = Path(__file__).parents[1] / "experiments" / "reuse" / "cloth"
TINY = [
    "image_size=64", "patch=16", "stride=8", "batch_size=16", "per_epoch=64", "datamodule.val_images=2", "trainer=cpu",
    "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "callbacks.progress=null", "draw_every_n_epochs=1",
]  # fmt: skip
PIECES = ["experiment=cloth", "data.sound=24", "data.faulty=20", "net.width=8", "net.depth=1", *TINY]
RADIOLOGY = re.compile(r"opacit|\blungs?\b|pneumonia|radiograph|radiolog|\bchest|\bpatient|medical", re.IGNORECASE)
# What may hold such words: keys and columns, alone or with a value, paths, and what stands as code.
KEY = re.compile(
    r"""`[^`\n]*`                              # code
    | [\w.+-]+=\S*                             # data.split=patient
    | \w*_\w+                                  # lung_area, normal_lung
    | [\w.-]*/[\w./-]*                         # patch/auroc_opacity_vs_healthy, figures/lung.png, opacity/
    | \w+\.(?:pt2|onnx|png|csv|json)           # lungs.pt2
    | columns\ [\w, ]+                        # as they are told apart in a csv
    | pneumo-ad""",
    re.VERBOSE,
)


def strange_words(text):
    """Words of radiology in a text, each with what stands around it; keys and columns do not count."""
    plain = KEY.sub("", text)
    return sorted({plain[max(0, one.start() - 50) : one.end() + 30] for one in RADIOLOGY.finditer(plain)})


def shown_by(page):
    """What a reader sees of a page: no style, no script, no config, no tags; and titles and descriptions."""
    hints = re.findall(r'(?:title|alt|aria-label)="([^"]*)"', page)
    body = re.sub(r"<(style|script|pre)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return unescape("\n".join([re.sub(r"<[^>]+>", " ", body), *hints]))


@contextmanager
def listening():
    """Collect all that is printed, logged, drawn and told to TensorBoard meanwhile, by kind."""
    heard = {}
    out, drawn, told, logged = StringIO(), set(), [], logging.StreamHandler(StringIO())
    draw, log_text, log_outcome = Figure.draw, TensorBoardRun.log_text, TensorBoardRun.log_outcome

    def drawing(figure, renderer):
        drawn.update(text.get_text() for text in figure.findobj(Text))
        return draw(figure, renderer)

    def texting(logger, name, text, step):
        told.append(text)
        return log_text(logger, name, text, step)

    def ending(logger, metrics, words, step):
        told.extend(words.values())
        return log_outcome(logger, metrics, words, step)

    log = logging.getLogger("pneumo_ad")
    log.addHandler(logged)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
            patch.setattr(Figure, "draw", drawing)
            patch.setattr(TensorBoardRun, "log_text", texting)
            patch.setattr(TensorBoardRun, "log_outcome", ending)
            yield heard
    finally:
        log.removeHandler(logged)
        heard["printed"] = out.getvalue() + logged.stream.getvalue()
        heard["drawn"] = "\n".join(sorted(drawn))
        heard["told to TensorBoard"] = "\n".join(told)


def write_objects(folder, sound=14, bad=12, side=64):
    """A folder for `data=masks`: round objects on a dark ground with their masks, some with a scratch."""
    draw, down, right = np.random.default_rng(0), *np.mgrid[0:side, 0:side]
    for name in ("images", "lung", "opacity"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number in range(sound + bad):
        name = f"object{number:02d}"
        disc = np.hypot(down - draw.uniform(28, 36), right - draw.uniform(28, 36)) < draw.uniform(20, 26)
        picture = np.where(disc, 120 + 20 * np.sin(down / 2), 15) + draw.normal(0, 5, (side, side))
        if number >= sound:
            scratch = disc & (abs(down - 32 - draw.uniform(-8, 8)) < 4)
            picture[scratch] += 70
            Image.fromarray(scratch).save(folder / "opacity" / f"{name}.png")
        Image.fromarray(disc).save(folder / "lung" / f"{name}.png")
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
        rows.append({"image": name, "patient": name, "label": "pneumonia" if number >= sound else "normal"})
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def cloth(tmp_path_factory):
    """Pairs (command, kind) -> what it printed, drew or told, (file, kind) -> what it wrote for readers; and pages."""
    folder, texts = tmp_path_factory.mktemp("words"), {}

    def hear(command, *arguments, status=0):
        with listening() as heard:
            assert start(command, *arguments, drawn=True) == status, heard
        texts.update({(command, kind): texts.get((command, kind), "") + text for kind, text in heard.items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        patch.syspath_prepend(str(CLOTH))
        patch.chdir(folder)
        trust("cloth_ad")
        # Looked at is everything.
        hear("train", *PIECES, "seed=0", "hydra.run.dir=runs/0", "matched=true")
        hear("train", *PIECES, "seed=1", "hydra.run.dir=runs/1", "logger=csv", "callbacks=minimal", "patch=32")
        hear("evaluate", "run=runs/0", "subset=val", "output=evaluated")
        hear("report", "run=runs/0")
        pictures = next((folder / "cache").glob("cloth/*/images"))
        hear("predict", "run=runs/0", f"input={pictures}", "output=predicted", "report=true")
        hear("export", "run=runs/0", "output=exported", "format=torch_export")
        hear("predict", "run=exported", f"input={pictures}", "output=by_export", "report=true")
        hear("compare", "runs")
        hear("figures", "run=runs/0")
        hear("audit", "data=cloth", "vocabulary=cloth", "output=audited")
        # Looked at is what masks say.
        objects = write_objects(folder / "objects")
        masked = ["data=masks", f"data.root={objects}", "lungs=files", "vocabulary=generic", "net=autoencoder"]
        hear("train", *masked, *TINY, "net.width=4", "hydra.run.dir=masked", "logger=csv")
        hear("report", "run=masked")
        hear("figures", "run=masked", "only=5,table1")
        hear("predict", "run=masked", f"input={objects / 'images'}", "output=of_masked")
        hear("export", "run=masked", "output=exported_masked", "format=torch_export")
        hear("evaluate", "run=runs/0", "data=masks", f"data.root={objects}", "output=of_others")
        # What goes wrong in ordinary use.
        hear("train", *PIECES, "data.sound=0", "hydra.run.dir=none", status=2)
        hear("train", *PIECES, "patch=128", "hydra.run.dir=large", status=2)
        hear("train", *masked, *TINY, f"data.root={folder}", "hydra.run.dir=nowhere", status=2)
        hear("predict", "run=runs/0", f"input={CLOTH}", "output=nothing", status=2)
    for name in [name for name in sys.modules if name.split(".")[0] == "cloth_ad"]:
        del sys.modules[name]
    files = [file for file in folder.rglob("*") if "cache" not in file.parts]
    for file in files:
        if file.suffix in (".html", ".md", ".txt", ".py"):
            text = file.read_text()
            texts[str(file.relative_to(folder)), "written"] = shown_by(text) if file.suffix == ".html" else text
    return texts, [file for file in files if file.suffix == ".html"]


def test_no_word_of_radiology_is_printed_written_or_drawn(cloth):
    texts, pages = cloth
    found = {place: words for place, text in texts.items() if (words := strange_words(text))}
    assert not found, "\n".join(f"{place}: {word!r}" for place, words in found.items() for word in words)
    assert not any("{" in text and RADIOGRAPH.fill(text) != text for text in texts.values()), "a template is read"
    assert len(pages) == 4


def test_the_words_of_cloth_are_read_instead(cloth):
    texts, _ = cloth
    for place, said in {
        ("train", "printed"): "8 faulty, 0 other",
        ("runs/0/report.html", "written"): "patch AUROC fault / sound cloth",
        ("train", "drawn"): "faulty picture, every window",
        ("train", "told to TensorBoard"): "pixel AUROC fault / rest, in the cloth",
        ("compare", "drawn"): "fault outlined",
        ("figures", "printed"): "patches of faulty pictures",
        ("exported/MODEL_CARD.md", "written"): "anomaly map and score of pictures",
        ("exported_masked/MODEL_CARD.md", "written"): "anomaly map and score of images",
        ("predicted/report.html", "written"): "pictures look anomalous",
        ("audit", "printed"): "pictures of 64 pieces",
    }.items():
        assert said in texts[place], place


def test_a_page_as_it_is_seen_holds_no_word_of_radiology(cloth, browser):
    """With what its script writes: marks, counts, legends, labels for screen readers."""
    for page in cloth[1]:
        opened = browser.new_page()
        opened.goto(page.as_uri())
        opened.wait_for_function("document.body.dataset.ready")
        opened.fill("#low", "0")
        text = opened.evaluate(
            """() => {
              for (const one of document.querySelectorAll("script, style, pre")) one.remove();
              const named = [...document.querySelectorAll("[aria-label]")].map((one) => one.getAttribute("aria-label"));
              return [document.body.innerText, document.body.textContent, ...named].join("\\n");
            }"""
        )
        opened.close()
        assert len(text) > 500
        assert strange_words(text) == [], page


def test_strange_words_are_found_and_keys_are_none():
    assert strange_words("Does bright mean opacity?") == ["Does bright mean opacity?"]
    assert strange_words("Lungs, 3 radiographs of 2 patients") != []
    keys = "patch/auroc_opacity_vs_healthy data.split=patient lung_area `pneumonia` figures/lung.png pneumo-ad report"
    assert strange_words(keys) == []
    page = "<style>.lung {}</style><p title='x'>a &lt; b</p><script>const lung = 1</script>"
    assert shown_by(page).split() == ["a", "<", "b"]


WORDS = vars(RADIOGRAPH)


def test_the_default_says_what_the_code_says_without_one():
    assert compose_config("train").vocabulary == compose_config("audit").vocabulary == WORDS
    assert to_today(OmegaConf.create({"patch": 8, "evaluation": {}})).vocabulary == WORDS  # a run of before
    assert Vocabulary.kept_in({}) == RADIOGRAPH  # an export or evaluation of before


@pytest.mark.parametrize("name", choices("vocabulary"))
def test_every_vocabulary_has_all_words(name):
    words = vocabulary_of(compose_config("train", [f"vocabulary={name}"]))
    assert words.fill("{image} {images} {patient} {patients} {abnormal} {region} {field}").count("{") == 0
    assert words == Vocabulary.kept_in({"vocabulary": vars(words)})


def test_only_names_of_words_are_replaced():
    words = Vocabulary(image="photo", images="photos")
    assert words.fill("{images} of {folder}, {image}s, {}, {images!r}") == "photos of {folder}, photos, {}, {images!r}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"anomly": "flaw"}, "vocabulary.anomly is no word .*did you mean anomaly"),
        ({"image": None}, "vocabulary.image=.None.: expected plain text"),
        ({"image": ""}, "vocabulary.image=''"),
        ({"anomalies": "holes\nand tears"}, "vocabulary.anomalies="),
        ({"region": "<b>cloth</b>"}, "vocabulary.region=.*letters and digits"),
        ({"region": "[red]"}, "vocabulary.region="),
        ({"warning": 'x"""; import os'}, "vocabulary.warning=.*with punctuation"),
        ({"limits": 3}, "vocabulary.limits="),
    ],
)
def test_words_that_cannot_be_used_are_named(change, said):
    with pytest.raises(ConfigError, match=said):
        Vocabulary.of(WORDS | change)


@pytest.mark.parametrize("name", WORDS)
def test_a_missing_word_is_named(name):
    with pytest.raises(ConfigError, match=f"vocabulary.{name} is missing"):
        Vocabulary.of({key: word for key, word in WORDS.items() if key != name})


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("vocabulary.anomly=flaw", "did you mean vocabulary.anomaly=flaw?"),
        ("+vocabulary.anomly=flaw", "vocabulary.anomly is no word that is used"),
        ("vocabulary.anomaly=[a,b]", "vocabulary.anomaly="),
        ("vocabulary=radiografh", "radiograph"),
    ],
)
def test_a_mistyped_word_is_refused_before_anything_is_decoded(typed, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert start("train", "data=phantom", "data.normal=4", "data.pneumonia=4", "hydra.run.dir=run", typed) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "run" / "files.csv").exists()
