"""Folders of images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from sslbench.data.files.images import resized
from sslbench.data.files.rows import Rows, label_texts
from sslbench.errors import BadInput

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
MOST_BYTES = 4 << 30
"""Pixels of an image folder, at most."""


def read_folder(root: Path, size: int | None = None) -> tuple[Rows, Rows | None]:
    """The images of a folder: a sub-folder for each class, perhaps `unlabelled/` and `test/`.

    Raises:
        BadInput: no classes, images out of place, of different sizes, damaged, ….
    """
    train = root / "train" if (root / "train").is_dir() else root
    reserved = {"test", *UNLABELLED_FOLDERS, *(["train"] if train != root else [])}
    if train != root and (odd := [n for n in sub_folders(root) if n not in reserved]):
        raise BadInput(
            f"{root} has a folder '{odd[0]}' beside train/: move its images into train/, test/ or unlabelled/, or it away."
        )
    if train != root and (train / "test").is_dir():
        raise BadInput(
            f"{train} has a folder test/: move it to {root / 'test'}, or give it another name if it is a class."
        )
    classes = [n for n in sub_folders(train) if n not in reserved]
    if len(classes) < 2:
        raise BadInput(
            f"{train} has {len(classes)} class folders: give one sub-folder of images for each class, at least two, and "
            "unlabelled/ for images without a label."
        )
    if loose := _images_in(train, deep=False):
        raise BadInput(f"{loose[0]} lies beside the class folders: move it into one, or into unlabelled/.")
    files = {name: _class_files(train / name) for name in classes}
    for place in dict.fromkeys((root, train)):
        for name in UNLABELLED_FOLDERS:
            if (place / name).is_dir():
                files[""] = [*files.get("", []), *_class_files(place / name)]
    rows = _read_images(root, files, size)
    if not (root / "test").is_dir():
        return rows, None
    if not (tested := sub_folders(root / "test")):
        raise BadInput(f"{root / 'test'} has no class folders: give those of {train}, or leave it out.")
    return rows, _read_images(root / "test", {n: _class_files(root / "test" / n) for n in tested}, size, rows)


def image_sizes(root: Path) -> set[tuple[int, int]]:
    """(width, height) of all images in a folder, as their headers have it.

    Raises:
        BadInput: a file that is no image.
    """
    from PIL import Image

    found = set()
    for path in _images_in(root):
        try:
            with Image.open(path) as image:
                found.add(image.size)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadInput(f"{path} cannot be read as an image: {error}.") from error
    return found


def sub_folders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_files(folder: Path) -> list[Path]:
    files = _images_in(folder)
    if not files:
        raise BadInput(f"{folder} holds no images: add some, or remove it.")
    return files


def _images_in(folder: Path, deep: bool = True) -> list[Path]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    found: Iterator[Path] = folder.rglob("*") if deep else folder.glob("*")
    files = [p for p in found if p.suffix.lower() in IMG_EXTENSIONS and not p.name.startswith(".") and p.is_file()]
    return sorted(files, key=lambda p: p.relative_to(folder).as_posix())


def _read_images(where: Path, files: Mapping[str, list[Path]], size: int | None, like: Rows | None = None) -> Rows:
    paths = [path for group in files.values() for path in group]
    labels = label_texts(np.array([name for name, group in files.items() for _ in group]), str(where))
    images: list[np.ndarray] = []
    for path in paths:
        images.append(_image(path, size))
        if images[-1].shape[:2] != images[0].shape[:2]:
            (h0, w0), (h1, w1) = images[0].shape[:2], images[-1].shape[:2]
            raise BadInput(
                f"The images of {where} are of different sizes: {paths[0].name} is {w0} × {h0}, {path.name} {w1} × {h1}. "
                "Give size = 32 (or another number) to have them resized."
            )
        if images[0].nbytes * len(paths) > MOST_BYTES:
            height, width = images[0].shape[:2]
            raise BadInput(f"{len(paths)} images of {width} × {height} do not fit into memory: give size = 32.")
    channels = max(image.shape[2] for image in images)
    if like is not None:
        channels = max(channels, like.x.shape[1])
    whole = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    return Rows(str(where), np.ascontiguousarray(np.moveaxis(whole, -1, 1)), labels)


def _image(path: Path, size: int | None) -> np.ndarray:
    """(height, width, channels) uint8: grey images have one channel, all others three."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of odd metadata
            if size is not None:
                image.draft(None, (2 * size, 2 * size))  # lets a JPEG be decoded at a fraction of its size
            upright = ImageOps.exif_transpose(image)
            if upright.mode[0] in "IF":
                raise BadInput(f"{path} has {upright.mode} pixels: give 8 bits a channel.")
            grey = upright.mode in ("1", "L", "LA")
            pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} cannot be read as an image: {error}.") from error
    pixels = pixels[..., None] if grey else pixels
    if size is None:
        return pixels
    tensor = torch.from_numpy(np.moveaxis(pixels, -1, 0).copy())
    return np.moveaxis(resized(tensor, size).numpy(), 0, -1)
