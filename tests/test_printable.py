"""Nothing that came with a name forges a line or steers a terminal."""

import logging
import pickle
import subprocess
import sys
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.errors import ConfigError, DataError, print_safely, printable

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize(
    "sign", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *BIDI, "\u2028", "\u2029", "\udcff"]
)
def test_every_sign_that_steers_is_written_out(sign):
    assert eval(f'"{printable(f"a{sign}b")}"') == f"a{sign}b"
    assert printable(f"a{sign}b").isprintable()


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"])))
def test_clean_words_stay_as_they_are(words):
    assert printable(words) == words


@given(st.text(st.characters()))
def test_what_comes_out_is_a_line_of_utf_8_and_stays_what_it_is(words):
    out = printable(words)
    assert len(out.splitlines()) <= 1
    assert not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in out)
    assert out.encode() is not None
    assert printable(out) == out
    assert len(printable(words, lines=True).split("\n")) == len(words.split("\n"))


def test_an_error_has_the_lines_that_it_was_given():
    error = DataError("scan\nerror: forged.png: no image", "  and \x1b[2J")
    assert str(error) == "scan\\nerror: forged.png: no image\n  and \\x1b[2J"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (DataError, str(error))
    assert str(ConfigError(f"wrapped: {DataError('a')}")) == "wrapped: a"


SAYS = """
import logging, sys, warnings
from pneumo_ad.errors import print_safely
print_safely(); print_safely()
name = "scan\\nerror: forged \\x1b[31m\\udcff.png"
logging.basicConfig(format="%(message)s")
logging.getLogger("x").warning("found %s, %d of %s", name, 3, {"a": 1})
logging.getLogger("x").warning("two\\nlines\\x07")
warnings.warn("odd \\x1b[31m", stacklevel=1)
print("name: bad\\udcff.png")
"""


def test_log_records_warnings_and_prints_are_safe_to_look_at():
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, env={"LC_ALL": "C.UTF-8"})
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    assert "\x1b" not in said
    assert "\x07" not in said
    lines = said.splitlines()
    assert r"found scan\nerror: forged \x1b[31m\udcff.png, 3 of {'a': 1}" in lines
    assert "two" in lines
    assert r"lines\x07" in lines
    assert r"name: bad\udcff.png" in lines


def test_it_is_set_up_once():
    with warnings.catch_warnings():
        print_safely()
        made = logging.getLogRecordFactory(), warnings.formatwarning
        print_safely()
        assert (logging.getLogRecordFactory(), warnings.formatwarning) == made
