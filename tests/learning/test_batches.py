from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.batches import (
    Crops,
    Draw,
    PreparedImage,
    Schedule,
    collate,
    images_fingerprint,
    prepare_image,
    prepare_images,
    training_batches,
    true_sites,
    turn,
    validation_batches,
)
from amorph2d.learning.targets import UNKNOWN, draw_heatmaps, draw_peaks

SIGMA = 2.0


def drawn_image(shape: tuple[int, int] = (70, 90), seed: int = 0, n: int = 40) -> PreparedImage:
    """Return an image that is the heat map of its own sites, one kind."""
    sites = np.random.default_rng(seed).uniform(0, np.array(shape) - 1, (n, 2)).astype(np.float32)
    return PreparedImage(draw(sites, shape).astype(np.float16), sites=(sites,))


def draw(sites: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    maps = torch.zeros(len(sites), dtype=torch.int64)
    pixels = torch.from_numpy(np.ascontiguousarray(sites))
    return draw_peaks(maps, pixels, n_maps=1, shape=shape, sigma=SIGMA)[0].numpy()


@pytest.mark.parametrize("way", range(8))
def test_the_eight_turns_keep_sites_on_their_peaks(way):
    image = drawn_image((30, 44), n=12)
    pixels, sites = turn(image.pixels, image.sites[0], way)
    assert draw(sites, pixels.shape) == pytest.approx(pixels, abs=1e-3)


def test_the_eight_turns_differ():
    pixels = np.arange(12, dtype=np.float16).reshape(3, 4)
    turned = [turn(pixels, np.zeros((0, 2), np.float32), way)[0] for way in range(8)]
    assert len({(each.shape, each.tobytes()) for each in turned}) == 8


def test_crops_carry_every_site_that_draws_into_them():
    crops = Crops([drawn_image()], crop=32, seed=1, reach=3 * SIGMA + 1)
    for number in range(20):
        pixels, (sites,), _ = crops[Draw(0, 0, number)]
        assert draw(sites, (32, 32)) == pytest.approx(pixels, abs=2e-3)


def test_crops_without_the_sites_around_them_would_be_wrong():
    crops = Crops([drawn_image()], crop=32, seed=1, reach=0.0)
    errors = [
        np.abs(draw(sites, (32, 32)) - pixels).max()
        for pixels, (sites,), _ in map(crops.__getitem__, draws(20))
    ]
    assert max(errors) > 0.3


def draws(n: int, epoch: int = 0) -> list[Draw]:
    return [Draw(0, epoch, number) for number in range(n)]


def test_a_crop_depends_on_seed_epoch_and_number_alone():
    image = drawn_image()
    crops = Crops([image], crop=32, seed=1, reach=7)
    wanted = crops[Draw(0, 4, 2)]
    list(map(crops.__getitem__, draws(5)))
    again = Crops([image], crop=32, seed=1, reach=7)[Draw(0, 4, 2)]
    assert np.array_equal(wanted[0], again[0])
    assert np.array_equal(wanted[1][0], again[1][0])
    other_seed = Crops([image], crop=32, seed=2, reach=7)
    others = [crops[Draw(0, 5, 2)][0], crops[Draw(0, 4, 3)][0], other_seed[Draw(0, 4, 2)][0]]
    assert not any(np.array_equal(wanted[0], other) for other in others)


def test_crops_reach_every_corner_of_an_image():
    image = PreparedImage(
        np.arange(35 * 33, dtype=np.float16).reshape(35, 33) / 64, (np.zeros((0, 2), np.float32),)
    )
    crops = Crops([image], crop=32, seed=0, reach=7)
    corners = {crops[draw][0].min() for draw in draws(100)}
    assert len(corners) == 4 * 2  # 4 x 2 places of the window


def test_the_central_crop_is_not_turned():
    image = drawn_image((41, 50))
    assert np.array_equal(
        Crops([image], crop=32, seed=0, reach=7)[Draw(0, -1, 0)][0], image.pixels[4:36, 9:41]
    )


def test_an_image_smaller_than_the_crop_is_continued_with_zeros():
    image = drawn_image((20, 50))
    pixels, (sites,), _ = Crops([image], crop=32, seed=0, reach=7)[Draw(0, -1, 0)]
    assert pixels.shape == (32, 32)
    assert np.array_equal(pixels[:20], image.pixels[:, 9:41])
    assert not pixels[20:].any()
    assert sites[:, 0].max() < 20


def test_collate_numbers_the_maps_of_each_crop():
    one, two, none = (np.zeros((n, 2), np.float32) for n in (1, 2, 0))
    dark, bright = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    batch = collate([(dark, [one, two], None), (bright, [none, one], None)])
    assert batch.pixels.shape == (2, 1, 4, 4)
    assert batch.maps.tolist() == [0, 1, 1, 3]
    assert batch.sites.shape == (4, 2)
    assert batch.labels is None


def labelled(image, make_config, **network):
    """Return the image as a network of another output sees it."""
    settings = {"channels": ("vacuum", "other"), "output": "areas", "label_sigma": None, "sampling": 0.4}
    return prepare_image(image, make_config(**{**settings, **network}))


def test_areas_are_the_nearest_pixels_of_the_mask(make_image, make_config):
    image = make_image(shape=(61, 80))
    mask = (np.arange(61 * 80).reshape(61, 80) // 7 % 3).astype(np.uint8)
    prepared = labelled(replace(image, mask=mask), make_config)
    assert prepared.sites == ()
    assert prepared.labels.dtype == np.uint8
    assert prepared.labels.shape == prepared.pixels.shape == (31, 40)
    assert np.array_equal(prepared.labels, mask[::2, ::2])


def test_areas_need_a_mask(make_image, make_config):
    with pytest.raises(ValueError, match="image 0 has no mask"):
        labelled(make_image(), make_config)


@pytest.mark.parametrize(("grey", "offset"), [(1.0, 0.0), (40.0, 300.0)])
def test_the_background_is_normalised_as_the_image_is(make_image, make_config, grey, offset):
    recipe = {
        "gradient": 0.4,
        "gradient_direction": 20.0,
        "vignetting": 0.1,
        "unevenness": 0.0,
        "noise_seed": 1,
    }
    image = make_image(shape=(96, 80), **recipe)
    lit = replace(image, image=np.float32(offset + grey * 100 * image.illumination))
    background = {"output": "background", "channels": ("illumination",), "normalisation_window": None}
    prepared = labelled(lit, make_config, **background)
    assert prepared.labels.dtype == np.float16
    assert prepared.labels == pytest.approx(prepared.pixels, abs=5e-3)
    assert float(prepared.pixels.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("way", range(3))
def test_labels_are_cut_and_turned_with_their_pixels(way):
    codes = (np.arange(40 * 50).reshape(40, 50) % 200).astype(np.uint8)
    image = PreparedImage(codes.astype(np.float16), labels=codes)
    crops = Crops([image], crop=32, seed=3, reach=0)
    for number in range(10):
        pixels, sites, labels = crops[Draw(0, way, number)]
        assert sites == []
        assert np.array_equal(pixels.astype(np.uint8), labels)


def test_beyond_a_small_image_labels_are_unknown():
    image = PreparedImage(np.ones((20, 50), np.float16), labels=np.ones((20, 50), np.uint8))
    _, _, labels = Crops([image], crop=32, seed=0, reach=0)[Draw(0, -1, 0)]
    assert (labels[:20] == 1).all()
    assert (labels[20:] == UNKNOWN).all()
    slow = replace(image, labels=np.ones((20, 50), np.float16))
    _, _, labels = Crops([slow], crop=32, seed=0, reach=0)[Draw(0, -1, 0)]
    assert np.isnan(labels[20:]).all()
    assert collate([Crops([slow], crop=32, seed=0, reach=0)[Draw(0, -1, 0)]]).labels.shape == (1, 32, 32)


def test_a_schedule_takes_every_image_equally_often_in_new_orders():
    schedule = Schedule(5, 15, seed=0)
    first = [draw.image for draw in schedule]
    assert np.bincount(first).tolist() == [3] * 5
    schedule.set_epoch(1)
    assert [draw.image for draw in schedule] != first
    schedule.set_epoch(0)
    assert [draw.image for draw in schedule] == first


def test_devices_share_a_schedule_out():
    whole = list(Schedule(7, 12, seed=3))
    parts = [Schedule(7, 12, seed=3, rank=rank, world_size=3) for rank in range(3)]
    assert sorted(chain(*parts), key=lambda draw: draw.number) == whole
    assert [len(part) for part in parts] == [4, 4, 4]


def test_prepared_images_are_normalised_and_keep_their_sites(make_image, make_config):
    simulated = make_image(shape=(60, 90))
    image = prepare_image(simulated, make_config(channels=("ring", "atom")))
    assert image.pixels.shape == (60, 90)
    assert image.pixels.dtype == np.float16
    assert float(image.pixels.astype(float).mean()) == pytest.approx(0, abs=0.1)
    assert float(image.pixels.astype(float).std()) == pytest.approx(1, abs=0.15)
    assert image.sites[0] == pytest.approx(simulated.rings[:, ::-1] / 0.2, abs=1e-4)
    assert image.sites[1] == pytest.approx(simulated.atoms[:, ::-1] / 0.2, abs=1e-4)


@pytest.mark.parametrize("sampling", [0.13, 0.2, 0.27])
def test_prepared_sites_lie_on_the_resampled_atoms(make_image, make_config, sampling):
    image = prepare_image(make_image(shape=(120, 100), sampling=sampling), make_config())
    drawn = draw_heatmaps([image.sites[0][:, ::-1] * 0.2], image.pixels.shape, sampling=0.2, sigma=0.45)[
        0
    ].numpy()
    inner = np.s_[10:-10, 10:-10]
    assert np.corrcoef(drawn[inner].ravel(), image.pixels.astype(float)[inner].ravel())[0, 1] > 0.75


def test_loaders_give_full_batches(make_image, make_parameters):
    images = prepare_images((make_image(index) for index in range(3)), make_parameters().network)
    for steps, expected in [(4, 4), (None, 2)]:
        parameters = make_parameters(steps_per_epoch=steps)
        loader = training_batches(images, parameters.network, parameters.fit)
        assert [len(batch.pixels) for batch in loader] == [2] * expected
    loader = validation_batches(images, parameters.network, parameters.fit)
    assert [len(batch.pixels) for batch in loader] == [2, 1]


def test_worker_processes_change_nothing(make_image, make_parameters):
    images = prepare_images([make_image()], make_parameters().network)
    alone, helped = (
        [batch.pixels for batch in training_batches(images, parameters.network, parameters.fit)]
        for parameters in (make_parameters(), make_parameters(workers=1))
    )
    assert all(map(torch.equal, alone, helped))


def test_fingerprints_tell_images_apart(make_image, make_config):
    images = prepare_images([make_image(0), make_image(1)], make_config())
    same = prepare_images([make_image(0), make_image(1)], make_config())
    assert images_fingerprint(images) == images_fingerprint(same)
    assert images_fingerprint(images) != images_fingerprint(images[::-1])
    first = make_image(0)
    moved = prepare_images([replace(first, atoms=first.atoms + 0.1), make_image(1)], make_config())
    assert images_fingerprint(images) != images_fingerprint(moved)


def test_fingerprints_do_not_depend_on_rounding(make_image, make_config):
    images = prepare_images([make_image(0)], make_config())
    rounded = [replace(images[0], pixels=np.nextafter(images[0].pixels, np.float16(9)))]
    assert images_fingerprint(images) == images_fingerprint(rounded)


def test_no_images_and_unknown_kinds_are_refused(make_image, make_config):
    with pytest.raises(ValueError, match="at least one image, got none"):
        prepare_images([], make_config())
    with pytest.raises(ValueError, match="kind must be 'atom' or 'ring', got 'hole'"):
        true_sites(make_image(), "hole")


def test_sites_under_something_else_are_not_asked_for():
    mask = np.ones((20, 30), dtype=np.uint8)
    mask[:, 10:20] = 2
    mask[:, 20:] = 0
    atoms = np.array([[1.0, 1.0], [2.3, 2.0], [3.5, 3.0], [4.9, 0.0], [5.8, 3.8]])
    image = SimulatedImage(0, np.zeros((20, 30), np.float32), 0.2, atoms, atoms[:2], {}, mask=mask)
    assert true_sites(image, "atom").tolist() == atoms[[0, 3, 4]].tolist()
    assert true_sites(image, "ring").tolist() == atoms[:1].tolist()
    bare = replace(image, mask=None)
    assert np.array_equal(true_sites(bare, "atom"), atoms)


def test_other_materials_are_prepared_at_the_spacing_of_carbon(make_config):
    rng = np.random.default_rng(0)
    pixels, atoms = rng.normal(size=(60, 80)).astype(np.float32), rng.uniform(0, 10, (9, 2))
    carbon = SimulatedImage(0, pixels, 0.25, atoms, atoms, {"dose_per_area": 1.0})
    recipe = {"length_scale": 4.0, "dose_per_area": 1.0}
    large = SimulatedImage(0, pixels, 1.0, 4 * atoms, 4 * atoms, recipe)
    first, second = (prepare_image(image, make_config()) for image in (carbon, large))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.sites[0] == pytest.approx(second.sites[0])
