"""A project about cloth reads of cloth: no word of chest radiography is printed, written for readers, or drawn."""

import logging
import re
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from omegaconf import OmegaConf
from running import start

from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.runs.arguments import choices
from pneumo_ad.runs.compose import compose_config, vocabulary_of
from pneumo_ad.runs.past import to_today
from pneumo_ad.runs.trust import trust

CLOTH = Path(__file__).parents[1] / "experiments" / "reuse" / "cloth"
TINY = [
    "image_size=64", "patch=8", "stride=4", "batch_size=16", "per_epoch=64", "datamodule.val_images=2", "trainer=cpu",
    "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "callbacks.progress=null", "draw_every_n_epochs=1",
]  # fmt: skip
PIECES = ["experiment=cloth", "data.sound=24", "data.faulty=20", "net.width=8", "net.depth=1", *TINY]
RADIOLOGY = re.compile(r"opacit|\blungs?\b|pneumonia|radiograph|\bchest|\bpatient|medical", re.IGNORECASE)
# What may hold such words: keys and columns, alone or with a value, paths, and what stands as code.
KEY = re.compile(
    r"""`[^`\n]*`                              # code
    | [\w.+-]+=\S*                             # data.split=patient
    | \w*_\w+                                  # lung_area, normal_lung
    | [\w.-]*/[\w./-]+                         # patch/auroc_opacity_vs_healthy, figures/lung.png
    | pneumo-ad""",
    re.VERBOSE,
)


def strange_words(text):
    """Words of radiology in a text, each with what stands around it; keys and columns do not count."""
    plain = KEY.sub("", text)
    return sorted({plain[max(0, one.start() - 50) : one.end() + 30] for one in RADIOLOGY.finditer(plain)})


def shown_by(page):
    """What a reader sees of a page: no style, no script, no tags; and titles and descriptions."""
    hints = re.findall(r'(?:title|alt|aria-label)="([^"]*)"', page)
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return unescape("\n".join([re.sub(r"<[^>]+>", " ", body), *hints]))


@contextmanager
def listening():
    """Collect all that is printed, logged and drawn meanwhile, by kind."""
    heard = {"printed": "", "drawn": ""}
    out, drawn, logged = StringIO(), set(), logging.StreamHandler(StringIO())
    save = Figure.savefig

    def saved(figure, *arguments, **options):
        drawn.update(text.get_text() for text in figure.findobj(Text))
        return save(figure, *arguments, **options)

    logging.getLogger().addHandler(logged)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
            patch.setattr(Figure, "savefig", saved)
            yield heard
    finally:
        logging.getLogger().removeHandler(logged)
        heard["printed"] = out.getvalue() + logged.stream.getvalue()
        heard["drawn"] = "\n".join(sorted(drawn))


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(command, kind) -> the text that it printed, wrote for readers or drew, of runs on cloth."""
    folder, texts = tmp_path_factory.mktemp("words"), {}

    def hear(command, *arguments):
        with listening() as heard:
            assert start(command, *arguments, drawn=True) == 0, heard
        texts.update({(command, kind): texts.get((command, kind), "") + text for kind, text in heard.items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        patch.syspath_prepend(str(CLOTH))
        patch.chdir(folder)
        trust("cloth_ad")
        for seed in (0, 1):
            hear("train", *PIECES, f"seed={seed}", f"hydra.run.dir=runs/{seed}", "matched=true")
        hear("evaluate", "run=runs/0", "subset=val", "output=evaluated")
        hear("report", "run=runs/0")
        hear(
            "predict",
            "run=runs/0",
            f"input={next((folder / 'cache').glob('cloth/*/images'))}",
            "output=predicted",
            "report=true",
        )
        hear("export", "run=runs/0", "output=exported", "format=torch_export")
        hear("predict", "run=exported", "input=predicted/overlays", "output=again", "report=true")
        hear("compare", "runs")
        hear("figures", "run=runs/0")
    for name in [name for name in sys.modules if name.split(".")[0] == "cloth_ad"]:
        del sys.modules[name]
    for file in folder.rglob("*"):
        if file.suffix in (".html", ".md", ".txt") and "cache" not in file.parts:
            text = file.read_text()
            texts[str(file.relative_to(folder)), "written"] = shown_by(text) if file.suffix == ".html" else text
    return texts


def test_no_word_of_radiology_is_read(said):
    found = {place: words for place, text in said.items() if (words := strange_words(text))}
    assert not found, "\n".join(f"{place}: {word!r}" for place, words in found.items() for word in words)


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
