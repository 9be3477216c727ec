import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pneumo_ad.data.datasets import ExhaustivePatches, already_a_batch
from pneumo_ad.data.samplers import BatchLoader, EpochShuffle, NumberedEpochs, ResumableLoader, Share
from pneumo_ad.errors import ConfigError
from pneumo_ad.patches import PatchGrid


@pytest.fixture(scope="module")
def patches():
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 48), dtype=np.uint8)
    return ExhaustivePatches(images, np.arange(3), PatchGrid((64, 48), 8, 3))


def of_epoch(sampler, epoch):
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(sampler) == len(found)
    return found


@given(st.integers(1, 60), st.integers(0, 99), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 80)))
def test_the_order_is_a_function_of_seed_and_epoch(length, seed, epoch, per_epoch):
    def order(seed, epoch):
        shuffle = EpochShuffle(length, seed, per_epoch)
        shuffle.set_epoch(epoch)
        assert len(shuffle) == len(list(shuffle))
        return list(shuffle)

    found = order(seed, epoch)
    assert found == order(seed, epoch)
    assert len(found) == len(set(found)) == min(length, per_epoch or length)  # without replacement
    assert set(found) <= set(range(length))
    if length > 20 and (per_epoch or length) > 10:
        assert found != order(seed, epoch + 1)
        assert found != order(seed + 1, epoch)


def test_numbers_that_tell_the_epoch_are_those_of_the_shuffle():
    plain, numbered = EpochShuffle(7, seed=1, per_epoch=5), NumberedEpochs(7, seed=1, per_epoch=5)
    for epoch in (0, 3):
        plain.set_epoch(epoch)
        numbered.set_epoch(epoch)
        assert list(numbered) == [7 * epoch + number for number in plain]


def test_epochs_of_few_patches_come_to_see_them_all():
    shuffle = EpochShuffle(30, seed=0, per_epoch=10)
    seen = set()
    for epoch in range(20):
        shuffle.set_epoch(epoch)
        seen |= set(shuffle)
    assert seen == set(range(30))


def test_an_epoch_of_no_patch_is_refused():
    with pytest.raises(ConfigError, match="per_epoch=0 must be at least 1, or null for all"):
        EpochShuffle(10, 0, per_epoch=0)


def test_a_loader_with_a_shuffle_delivers_each_patch_once(patches):
    loader = ResumableLoader(patches, 32, EpochShuffle(len(patches), seed=0))
    found = torch.cat([batch["where"] for batch in loader]).tolist()
    expected = patches.__getitems__(range(len(patches)))["where"].tolist()
    assert found != expected
    assert sorted(found) == sorted(expected)


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 80)))
def test_shuffles_of_several_processes_deal_out_the_order_of_one(length, ranks, epoch, per_epoch):
    whole = of_epoch(EpochShuffle(length, 7, per_epoch), epoch)
    shares = [of_epoch(EpochShuffle(length, 7, per_epoch, rank, ranks), epoch) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1  # else a process would wait for the others for ever
    dealt = [number for side_by_side in zip(*shares, strict=True) for number in side_by_side]
    assert dealt == whole[: len(whole) // ranks * ranks]


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 70), st.integers(0, 9))
def test_blocks_are_the_order_in_pieces(length, ranks, size, first):
    for rank in range(ranks):
        for sampler in (EpochShuffle(length, 7, None, rank, ranks), Share(length, rank, ranks)):
            blocks = list(sampler.blocks(size))
            assert [number for block in blocks for number in block.tolist()] == list(sampler)
            assert {len(block) for block in blocks[:-1]} <= {size}
        shuffle = EpochShuffle(length, 7, None, rank, ranks)
        shuffle.first = min(first, len(shuffle))
        rest = [number for block in shuffle.blocks(size) for number in block.tolist()]
        assert rest == list(shuffle)[min(first, len(shuffle)) :]  # `first` counts once


def test_orders_that_can_be_held_are_numpys_permutation():
    """Seeds give the weights that they always gave."""
    assert of_epoch(EpochShuffle(1000, 3), 5) == np.random.default_rng([3, 5]).permutation(1000).tolist()


@pytest.mark.parametrize("ranks", [1, 3])
def test_an_order_too_long_to_be_held_is_dealt_out_and_gone_on_with_alike(monkeypatch, ranks):
    monkeypatch.setattr("pneumo_ad.data.samplers._HELD", 1000)
    monkeypatch.setattr("pneumo_ad.data.samplers._AHEAD", 64)  # several pieces
    whole = of_epoch(EpochShuffle(5000, 7, 4000), 2)
    assert whole == of_epoch(EpochShuffle(5000, 7, 4000), 2)
    assert whole != of_epoch(EpochShuffle(5000, 7, 4000), 3)
    assert whole != of_epoch(EpochShuffle(5000, 8, 4000), 2)
    shares = [of_epoch(EpochShuffle(5000, 7, 4000, rank, ranks), 2) for rank in range(ranks)]
    dealt = [number for side_by_side in zip(*shares, strict=True) for number in side_by_side]
    assert dealt == whole[: 4000 // ranks * ranks]
    late = EpochShuffle(5000, 7, 4000, 0, ranks)
    late.set_epoch(2)
    late.first = 130
    assert list(late) == shares[0][130:]


@given(seed=st.integers(0, 2**40), length=st.integers(1001, 10**10))
def test_what_is_drawn_with_replacement_is_as_even_as_chance(seed, length):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pneumo_ad.data.samplers._HELD", 1000)
        drawn = np.array(list(EpochShuffle(length, seed, 20_000)))
    assert drawn.min() >= 0
    assert drawn.max() < length
    tenths, expected = np.bincount(drawn * 10 // length, minlength=10), len(drawn) / 10
    spread = np.sqrt(expected) + len(drawn) / length  # a length that is no multiple of ten has uneven tenths
    assert np.abs(tenths - expected).max() < 6 * spread


def test_five_billion_windows_are_drawn_without_being_held():
    length = 377_110 * 121**2
    tracemalloc.start()
    shuffle = EpochShuffle(length, 0)
    shuffle.first = length - 2**17
    found = np.concatenate(list(shuffle.blocks(512)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2**17
    assert len(np.unique(found)) > 2**17 - 50  # that two are alike is rare
    assert found.max() > 0.99 * length
    assert peak < 16 * 2**20  # a permutation would take 44 GB


@pytest.mark.parametrize("order", [EpochShuffle, Share])
def test_a_batch_loader_gives_what_a_data_loader_gives(monkeypatch, patches, order):
    def sampler():
        return order(len(patches), 1, 2) if order is Share else order(len(patches), 5, None, 1, 2)

    plain = DataLoader(patches, 50, sampler=sampler(), collate_fn=already_a_batch)
    ours = BatchLoader(patches, 50, sampler())
    assert len(plain) == len(ours) > 1
    one = patches.cut([0])
    nbytes = 50 * sum(value.nbytes for value in one.values())
    for together in (0, 3 * nbytes + 1, 100 * nbytes):  # bytes: one batch at a time, three, all
        monkeypatch.setattr("pneumo_ad.data.samplers._TOGETHER", together)
        for expected, found in zip(plain, ours, strict=True):
            assert torch.equal(expected["patch"], found["patch"])
            assert torch.equal(expected["where"], found["where"])


@given(st.integers(0, 60), st.integers(1, 5))
def test_shares_leave_no_sample_out_and_repeat_none(length, ranks):
    shares = [of_epoch(Share(length, rank, ranks), 3) for rank in range(ranks)]
    assert sorted(number for share in shares for number in share) == list(range(length))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(share == sorted(share) for share in shares)


def batches(loader, epoch, count=None):
    """The first batches of an epoch, as Lightning asks for them."""
    iterator = iter(loader)  # before the epoch is known, when a run begins
    loader.sampler.set_epoch(epoch)
    return [batch["where"].tolist() for _, batch in zip(range(count or 10**6), iterator, strict=False)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loader_goes_on_where_its_state_was_taken(patches, workers, ranks):
    def fresh():
        return ResumableLoader(patches, 20, EpochShuffle(len(patches), 1, 170, ranks - 1, ranks), workers)

    whole, stopped, resumed = fresh(), fresh(), fresh()
    expected = batches(whole, 4)
    begun = batches(stopped, 4, count=3)
    state = dict(stopped.state_dict())
    assert state == {"epoch": 4, "batches": 3}
    resumed.load_state_dict(state)
    assert begun + batches(resumed, 4) == expected
    assert batches(resumed, 5) == batches(whole, 5)  # the next epoch is whole again
    assert batches(resumed, 4) == expected  # and so is the same epoch, were it to come again


def test_a_state_of_another_epoch_passes_over_nothing(patches):
    loader = ResumableLoader(patches, 20, EpochShuffle(len(patches), 1))
    expected = batches(loader, 5)
    loader.load_state_dict({"epoch": 4, "batches": 3})
    assert batches(loader, 5) == expected


def test_a_state_at_the_end_of_an_epoch_leaves_the_next_whole(patches):
    loader = ResumableLoader(patches, 20, EpochShuffle(len(patches), 1))
    expected = batches(loader, 4)
    loader.load_state_dict(dict(loader.state_dict()))
    assert batches(loader, 5) != expected
    assert len(batches(loader, 6)) == len(expected)
