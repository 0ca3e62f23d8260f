"""Image data sets through torchvision, in its file layout."""

from __future__ import annotations

import torchvision

from sslbench.data.base import DATA_VARIABLE, Dataset, data_folder, dataset
from sslbench.errors import BadInput

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SIZES = {True: 60_000, False: 10_000}


@dataset("mnist", source="MNIST")
@dataset("fashion-mnist", source="FashionMNIST")
@dataset("kmnist", source="KMNIST")
def torchvision_images(source: str) -> Dataset:
    """60,000 training and 10,000 test images of 28 x 28 grey values in 10 classes.

    Looked for in `$SSLBENCH_DATA` (`--data-dir`), else in a cache folder, into which torchvision downloads it.
    """
    name = {"MNIST": "mnist", "FashionMNIST": "fashion-mnist", "KMNIST": "kmnist"}[source]
    folder, named = data_folder()
    raw = folder / source / "raw"
    here = all((raw / file).exists() for file in FILES)
    if named and not here:
        raise BadInput(
            f"No data set '{name}' in {folder}: put {raw}/ with {', '.join(FILES)} there, "
            f"or leave out --data-dir and {DATA_VARIABLE} to have it downloaded."
        )
    parts = {}
    for train, size in SIZES.items():
        try:
            part = getattr(torchvision.datasets, source)(folder, train=train, download=not here)
        except Exception as error:  # torchvision raises whatever its reader or the network does
            if here:
                raise BadInput(
                    f"The data set '{name}' cannot be read from {raw} ({_line(error)}): the files are damaged: remove them."
                ) from error
            raise BadInput(
                f"The data set '{name}' is not in {raw} and cannot be downloaded ({_line(error)}). Without a network, put "
                f"{', '.join(FILES)} there, or name a folder that has {source}/raw/ with --data-dir or {DATA_VARIABLE}; "
                "the scenarios mnist5k-… need no download."
            ) from error
        x, y = part.data, part.targets
        if tuple(x.shape) != (size, 28, 28) or tuple(y.shape) != (size,) or int(y.min()) < 0 or int(y.max()) > 9:
            raise BadInput(
                f"{raw} holds {len(x)} images of {tuple(x.shape[1:])} with {len(y)} labels, where {size} of (28, 28) "
                "are expected: remove the damaged files."
            )
        parts[train] = x.unsqueeze(1), y.long()
    return Dataset(name, *parts[True], *parts[False], class_names=_class_names(source))


def _class_names(source: str) -> tuple[str, ...]:
    names = getattr(torchvision.datasets, source).classes
    return tuple(n.split(" - ")[0] for n in names) if source == "MNIST" else tuple(names)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")
