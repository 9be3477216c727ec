"""Compiled nets: the same to rounding, the same names of weights, and words where there is no compiler."""

import copy
import os
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
from running import COMMAND, TINY, start

from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.nets.compilation import compile_net
from pneumo_ad.runs.checkpoints import read_checkpoint

CPU = torch.device("cpu")


def net():
    torch.manual_seed(0)
    return UNetAutoencoder(4, depth=1).to(memory_format=torch.channels_last)


def batch(size):
    generator = torch.Generator().manual_seed(size)
    return torch.rand(size, 1, 8, 8, generator=generator).contiguous(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def compiled():
    one = net()
    compile_net(one, CPU)
    return one


def graphs():
    """Graphs compiled so far in this process."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_a_compiled_net_gives_what_the_plain_one_gives_for_batches_of_any_size(compiled):
    plain = net()
    before, counts = graphs(), []
    with torch.inference_mode():
        for size in (6, 3, 5, 9, 14, 2):
            found = compiled(batch(size)).reconstruction
            torch.testing.assert_close(found, plain(batch(size)).reconstruction, atol=1e-5, rtol=1e-5)
            counts.append(graphs() - before)
    assert counts == [1, 2, 2, 2, 2, 2]  # once for the first size, once for all


def test_weights_of_a_compiled_net_load_into_a_plain_one_and_back(compiled):
    plain = net()
    assert list(compiled.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(compiled.state_dict())
    compiled.load_state_dict(plain.state_dict())


def test_a_copy_of_a_compiled_net_is_a_plain_one_of_its_own(compiled):
    """As an export takes it."""
    other = copy.deepcopy(compiled)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    before = graphs()
    with torch.inference_mode():
        assert not torch.equal(other(batch(6)).reconstruction, compiled(batch(6)).reconstruction)
    assert graphs() == before


def test_no_compiler_is_said_in_words_before_anything_is_decoded(tmp_path, cache):
    compiled = str(tmp_path / "compiled")  # what was compiled before needs no compiler
    run = subprocess.run(
        [*COMMAND, "train", *TINY, "compile=true", f"hydra.run.dir={tmp_path / 'run'}"],
        env=os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": compiled},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "compile=true needs a C++ compiler (g++ or clang++) for the cpu, and torch.compile fails: " in run.stderr
    assert "no-such-compiler" in run.stderr
    assert "Traceback" not in run.stderr
    assert (cache / "phantoms").exists()
    assert not (cache / "stores").exists()
    assert not (tmp_path / "run").exists()


def test_a_run_compiled_is_the_run_as_it_is_to_rounding(here, tmp_path):
    """And can be evaluated either way."""
    states, scores = [], []
    for name in ("plain", "compiled"):
        options = [*TINY, "net.depth=1", f"hydra.run.dir={name}"]
        before = graphs()
        assert start("train", *options, f"compile={name == 'compiled'}") == 0
        assert (graphs() > before) == (name == "compiled")
        states.append(read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"])
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, atol=1e-3, rtol=0)
    for compiled in (True, False):
        before = graphs()
        options = [f"compile={compiled}", f"output={compiled}"]
        assert start("evaluate", "run=compiled", *options) == 0
        assert (graphs() > before) == compiled
        scores.append(pd.read_csv(tmp_path / f"{compiled}" / "patches.csv")["score"])
    np.testing.assert_allclose(*scores, atol=1e-3)  # grey levels
