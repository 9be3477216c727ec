import numpy as np
import pytest
from drawn import lung_mask, radiograph
from scipy import ndimage
from skimage.exposure import match_histograms

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.evaluation.matching import find_reference, match, match_one, matchable
from pneumo_ad.metrics import auroc

SIDE = 96
FIELD = lung_mask(SIDE, SIDE).astype(np.uint8)
INNER = ndimage.binary_erosion(FIELD)  # a cross, as the four neighbours


def drawn(count=8):
    return np.stack([radiograph(seed, SIDE, SIDE, sick=bool(seed % 2)) for seed in range(count)])


def exposed(images):
    """Each radiograph under an exposure of its own, without a grey level lost."""
    return np.stack([np.rint(30 + image * (0.4 + 0.06 * i)).clip(0, 255) for i, image in enumerate(images)]).astype(
        np.uint8
    )


def fields(images):
    return np.repeat(FIELD[None], len(images), axis=0)


def sharpness(images):
    """Written out with scipy, apart from the code under test."""
    return np.array([np.abs(ndimage.laplace(image.astype(float)))[INNER].mean() for image in images])


def sorted_lung(images):
    return np.stack([np.sort(image[FIELD == 1]) for image in images]).astype(int)


def test_equal_radiographs_stay_as_they_are_within_the_lung():
    image = radiograph(3, SIDE, SIDE)
    same = np.stack([image] * 4)
    matched = match(same, fields(same))
    assert np.abs(matched.images.astype(int) - same)[:, FIELD == 1].max() <= 1
    assert (matched.sigma < 0.05).all()
    assert matched.reached.all()


def test_grey_levels_within_the_lung_become_the_same():
    images = exposed(drawn())
    assert np.ptp(sorted_lung(images).mean(axis=1)) > 20  # they were not
    after = sorted_lung(match(images, fields(images)).images)
    inner = after[:, 20:-20]
    assert np.abs(inner - np.median(inner, axis=0)).max() <= 2
    assert np.ptp(after.mean(axis=1)) < 0.5
    assert np.ptp(after.std(axis=1)) < 0.5


def test_sharpness_becomes_that_of_the_dullest_quantile():
    images = drawn(12)
    dull = np.stack([ndimage.gaussian_filter(image, 0.1 * i) for i, image in enumerate(images)])
    matched = match(dull, fields(dull), quantile=0.05)
    after = sharpness(matched.images)
    assert sharpness(dull).std() / sharpness(dull).mean() > 0.3
    assert np.allclose(after[matched.reached], matched.reference.sharpness, rtol=0.01)
    assert (~matched.reached).sum() == 1  # the one below the quantile
    assert (matched.sigma[~matched.reached] == 0).all()
    assert (after <= matched.reference.sharpness * 1.01).all()


def test_sharpness_no_longer_tells_blurred_copies_from_originals():
    sharp = np.stack([radiograph(seed, SIDE, SIDE, spine=False) for seed in range(12)])
    dull = np.stack([ndimage.gaussian_filter(image, 0.8) for image in sharp])
    both, blurred = np.concatenate([sharp, dull]), np.repeat([False, True], 12)
    assert auroc(sharpness(both), blurred) == 0
    matched = match(both, fields(both), quantile=0.0)
    assert matched.reached.all()
    after = sharpness(matched.images)
    assert np.ptp(after) < 0.01 * after.mean()
    assert np.abs(after[blurred].mean() - after[~blurred].mean()) < 0.002 * after.mean()


def test_exposure_is_undone_whatever_it_was():
    """A monotone change of grey levels does not change ranks, so nothing of it is left."""
    image = radiograph(1, SIDE, SIDE, spine=False)
    reference = find_reference(drawn(), fields(drawn()), np.arange(8))
    plain, sigma = match_one(image, FIELD, reference)
    gamma = np.rint(255 * (image / 255.0) ** 0.8)
    assert len(np.unique(gamma)) < len(np.unique(image))  # a few levels fall together
    other, other_sigma = match_one(gamma.astype(np.uint8), FIELD, reference)
    assert np.abs(plain.astype(int) - other).mean() < 1.5
    assert abs(sigma - other_sigma) < 0.05
    lighter, lighter_sigma = match_one(image + np.uint8(7), FIELD, reference)
    assert np.array_equal(plain, lighter)
    assert lighter_sigma == pytest.approx(sigma, abs=1e-3)


def test_histogram_specification_agrees_with_scikit_image():
    """Towards one and the same radiograph and without blur."""
    image, template = radiograph(0, SIDE, SIDE), radiograph(5, SIDE, SIDE, sick=True)
    reference = find_reference(template[None], FIELD[None], np.array([0]), quantile=1.0)
    too_sharp = type(reference)(reference.levels, 1e9)
    ours, sigma = match_one(image, FIELD, too_sharp)
    theirs = match_histograms(image[FIELD == 1].reshape(1, -1), template[FIELD == 1].reshape(1, -1))[0]
    assert sigma == 0
    assert np.abs(ours[FIELD == 1] - theirs).mean() < 1


def test_nothing_outside_the_lung_speaks():
    images = drawn()
    masks = np.pad(fields(images), ((0, 0), (0, 60), (0, 0)))
    nearby = np.pad(images, ((0, 0), (0, 20), (0, 0)), mode="edge")
    bright, dark = (np.pad(nearby, ((0, 0), (0, 40), (0, 0)), constant_values=value) for value in (255, 0))
    matched = match(bright, masks).images  # they differ only where no blur reaches the lung
    assert np.array_equal(matched, match(dark, masks).images)
    for image in matched[:, :SIDE]:
        assert set(image[FIELD == 0]) <= set(image[FIELD == 1])


def test_the_chest_around_the_lung_stays_where_it_was():
    """The lung is that of the filled ones, equal sharpness included; around it every grey level keeps its rank."""
    images = exposed(drawn())
    filled, whole = (match(images, fields(images), fill=fill) for fill in (True, False))
    assert np.array_equal(whole.images[:, FIELD == 1], filled.images[:, FIELD == 1])
    assert np.array_equal(whole.sigma, filled.sigma)
    after = sharpness(whole.images)[whole.reached]
    assert np.allclose(after, whole.reference.sharpness, rtol=0.01)
    for image, sigma, matched in zip(images, whole.sigma, whole.images, strict=True):
        smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma) if sigma else image
        order = np.argsort(np.asarray(smooth, dtype=float)[FIELD == 0], kind="stable")
        assert (np.diff(matched[FIELD == 0][order].astype(int)) >= 0).all()
        assert len(np.unique(matched[FIELD == 0])) > len(np.unique(image[FIELD == 0])) / 4
    ends = np.where(FIELD == 1, images[0], np.uint8(0))
    ends[:3] = 255
    matched, _ = match_one(ends, FIELD, type(whole.reference)(whole.reference.levels, 1e9), fill=False)
    assert (matched[:3] == 255).all()
    assert (matched[3:][FIELD[3:] == 0] == 0).all()


def test_the_order_of_radiographs_does_not_matter_and_rows_choose():
    images = exposed(drawn())
    order = np.random.default_rng(0).permutation(len(images))
    straight, turned = match(images, fields(images)), match(images[order], fields(images))
    assert straight.reference.sharpness == turned.reference.sharpness
    assert np.array_equal(straight.images[order], turned.images)
    assert np.array_equal(straight.sigma[order], turned.sigma)
    assert np.array_equal(match(images, fields(images)).images, straight.images)
    some = match(images, fields(images), rows=np.array([5, 2, 3]))
    alone = match(images[[5, 2, 3]], fields(images)[:3])
    assert np.array_equal(some.images, alone.images)


def test_a_radiograph_without_a_lung_field_is_refused_by_its_row():
    images, masks = drawn(4), fields(drawn(4))
    masks[2] = 0
    masks[3] = 0
    masks[3, 10:12, 10:12] = 1  # too small to have an inside
    assert matchable(masks).tolist() == [True, True, False, False]
    with pytest.raises(DataError, match=r"2 images have no field .*rows \[2, 3\]"):
        match(images, masks)
    assert len(match(images, masks, np.flatnonzero(matchable(masks))).images) == 2


def test_what_cannot_be_is_refused():
    images = drawn(2)
    with pytest.raises(DataError, match="no image to match"):
        match(images, fields(images), np.array([], dtype=int))
    with pytest.raises(ConfigError, match=r"quantile=1.5 must lie in \[0, 1\]"):
        match(images, fields(images), quantile=1.5)


def test_a_flat_radiograph_is_matched_to_one_grey_level_and_does_not_reach():
    images = np.concatenate([drawn(4), np.full((1, SIDE, SIDE), 90, dtype=np.uint8)])
    matched = match(images, fields(images), quantile=0.5)
    assert np.ptp(matched.images[4]) == 0
    assert not matched.reached[4]


@pytest.mark.real_data
def test_real_radiographs_are_no_longer_told_apart_by_sharpness_or_exposure(real_data):
    from pneumo_ad.data import open_store, sources
    from pneumo_ad.lungs import SegmenterFields

    table = sources.chest_xray(real_data / "chest_xray_224" / "train")
    table = table[table["split"] == "test"].groupby("label").sample(40, random_state=0).sort_values("image")
    store = open_store(table.reset_index(drop=True), (256, 256))
    lungs = SegmenterFields()(store)
    rows = np.flatnonzero(matchable(lungs))
    sick = (store.table["label"] == "pneumonia").to_numpy()[rows]
    matched = match(store.images, lungs, rows)

    def inside(images, measure):
        kept = [(image, ndimage.binary_erosion(lungs[row])) for image, row in zip(images, rows, strict=True)]
        return np.array([measure(image)[field].mean() for image, field in kept])

    edges = inside(store.images[rows], lambda image: np.abs(ndimage.laplace(image.astype(float))))
    assert auroc(edges, sick) < 0.25  # pneumonia is duller
    after = inside(matched.images, lambda image: np.abs(ndimage.laplace(image.astype(float))))
    assert 0.3 < auroc(after[matched.reached], sick[matched.reached]) < 0.7
    assert after[matched.reached].std() < 0.005 * after.mean()
    assert inside(matched.images, lambda image: image.astype(float)).std() < 1.5
