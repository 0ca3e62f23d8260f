"""A user's own files: what is read of them, and what is refused."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sslbench.data.base import DATA_VARIABLE
from sslbench.data.files import load_own, save_arrays
from sslbench.data.files.rows import is_number, make_dataset
from sslbench.data.files.tables import read_csv
from sslbench.errors import BadInput

SQUARE = [["a", "b", "class"], ["1", "2", "cat"], ["3", "4", "dog"], ["5", "6", "-1"], ["7", "8", ""]]


def write_csv(path, rows, **form):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **form).writerows(rows)
    return path


def write_image(path, pixels, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **more)
    return path


def image_folder(root, side=16, classes=("cat", "dog"), each=3, channels=()):
    """`each` grey images a class, of a brightness of its own."""
    for place, name in enumerate(classes):
        for i in range(each):
            write_image(root / name / f"{i}.png", np.full((side, side, *channels), 10 * place + i))
    return root


# What is read


def test_a_csv_file_gives_numbers_classes_and_gaps(tmp_path):
    data = load_own(write_csv(tmp_path / "d.csv", SQUARE), "class")
    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert data.y.tolist() == [0, 1, -1, -1]
    assert data.class_names == ("cat", "dog")
    assert len(data.x_test) == len(data.y_test) == 0


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=5)


@given(data=st.data(), rows=st.integers(2, 8), columns=st.integers(1, 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_csv_file_that_python_writes_is_read_as_it_is(tmp_path, data, rows, columns):
    words = names.map(str.strip).filter(lambda t: t and not is_number(t))
    header = data.draw(st.lists(words, min_size=columns + 1, max_size=columns + 1, unique=True))
    number = st.floats(-1e30, 1e30)
    x = data.draw(st.lists(st.lists(number, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    classes = data.draw(st.lists(words, min_size=2, max_size=4, unique=True))
    labels = [*classes[:2], *(data.draw(st.sampled_from([*classes, "", "-1"])) for _ in range(rows - 2))]
    place = data.draw(st.integers(0, columns))
    table = [
        header,
        *([*map(repr, r[:place]), label, *map(repr, r[place:])] for r, label in zip(x, labels, strict=True)),
    ]
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    suffix, delimiter = data.draw(st.sampled_from([(".csv", ","), (".tsv", "\t")]))
    path = write_csv(tmp_path / f"d{suffix}", table, quoting=quoting, delimiter=delimiter)
    read = make_dataset(read_csv(path, header[place]))
    assert read.x.tolist() == x
    assert [read.class_names[c] if c >= 0 else "" for c in read.y.tolist()] == [t if t != "-1" else "" for t in labels]


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (np.array([10, 9, -1]), ("9", "10"), [1, 0, -1]),
        (np.array([1.0, np.nan, 0.0]), ("0", "1"), [1, -1, 0]),
        (np.array([True, False]), ("False", "True"), [1, 0]),
        (np.array(["b", "-1", " a "]), ("a", "b"), [1, -1, 0]),
        (np.array([b"b", b"a"]), ("a", "b"), [1, 0]),
        (np.array(["2.0", "10", "-1.0"]), ("2", "10"), [0, 1, -1]),
        (np.array([[3], [4]]), ("3", "4"), [0, 1]),
    ],
    ids=str,
)
def test_labels_are_numbers_or_names(tmp_path, labels, classes, y):
    np.savez(tmp_path / "d.npz", x=np.zeros((len(labels), 2)), y=labels)
    data = load_own(tmp_path / "d.npz")
    assert (data.class_names, data.y.tolist()) == (classes, y)


def test_objects_are_labels_in_python_and_are_saved_without_pickling(tmp_path):
    y = np.array(["b", None, "a", -1], dtype=object)
    path, data = save_arrays([[1, 2]] * 4, y, path=tmp_path / "d.npz")
    assert data.y.tolist() == [1, -1, 0, -1]
    assert load_own(path).sha256 == data.sha256


@pytest.mark.parametrize(
    ("x", "shape", "dtype"),
    [
        (np.full((4, 20, 18), 200, np.uint8), (1, 20, 18), torch.uint8),
        (np.full((4, 20, 18, 3), 200), (3, 20, 18), torch.uint8),
        (np.full((4, 3, 20, 18), 200.0), (3, 20, 18), torch.uint8),
        (np.full((4, 20, 18, 1), 0.5), (1, 20, 18), torch.float32),
    ],
)
def test_images_of_an_npz_file_may_have_any_usual_layout(tmp_path, x, shape, dtype):
    np.savez(tmp_path / "d.npz", X=x, Y=[0, 1, 0, -1], x_test=x[:2], y_test=[1, 0])
    data = load_own(tmp_path / "d.npz")
    assert (data.x.shape[1:], data.x.dtype) == (shape, dtype)
    assert data.x.unique().tolist() == [0.5 if dtype == torch.float32 else 200]
    assert data.y_test.tolist() == [1, 0]
    assert load_own(tmp_path / "d.npz", size=16).x.shape[2:] == (16, 16)


def test_a_folder_has_classes_images_without_a_label_and_a_test_set(tmp_path):
    root = image_folder(tmp_path / "d")
    write_image(root / "unlabelled" / "deeper" / "u.png", np.full((16, 16), 77))
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden.png").write_text("no image")
    image_folder(root / "test", each=1, classes=("dog", "cat"))
    data = load_own(root)
    assert data.class_names == ("cat", "dog")
    assert data.y.tolist() == [0, 0, 0, 1, 1, 1, -1]
    assert data.x[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 77]
    assert data.y_test.tolist() == [0, 1]


def test_the_classes_of_a_folder_may_lie_in_train(tmp_path):
    root = tmp_path / "d"
    image_folder(root / "train")
    write_image(root / "train" / "unlabeled" / "u.png", np.full((16, 16), 77))
    write_image(root / "unlabelled" / "v.png", np.full((16, 16), 78))
    assert load_own(root).y.tolist() == [0, 0, 0, 1, 1, 1, -1, -1]


def test_one_image_in_colour_makes_all_of_them_have_three_channels(tmp_path):
    root = image_folder(tmp_path / "d")
    colour = np.zeros((16, 16, 3))
    colour[..., 2] = 255
    write_image(root / "cat" / "9.png", colour)
    data = load_own(root)
    assert data.x.shape == (7, 3, 16, 16)
    assert data.x[3, :, 0, 0].tolist() == [0, 0, 255]
    assert data.x[1, :, 0, 0].tolist() == [1, 1, 1]


def test_resized_images_keep_their_middle_and_their_proportions(tmp_path):
    root = image_folder(tmp_path / "d", side=40)
    wide = np.zeros((40, 120))
    wide[:, 40:80] = 200
    write_image(root / "cat" / "wide.jpg", wide, quality=95)
    data = load_own(root, size=20)
    assert data.x.shape == (7, 1, 20, 20)
    assert float(data.x[3, 0, :, 3:17].float().mean()) == pytest.approx(200, abs=5)


def test_a_test_set_may_be_a_file_of_its_own_with_its_columns_in_another_order(tmp_path):
    train = write_csv(tmp_path / "d.csv", SQUARE)
    test = write_csv(tmp_path / "t.csv", [["class", "b", "a"], ["dog", "2", "1"]])
    data = load_own(train, "class", test)
    assert (data.x_test.tolist(), data.y_test.tolist()) == ([[1, 2]], [1])


def test_columns_can_be_left_out(tmp_path):
    path = write_csv(tmp_path / "d.csv", [["who", "a", "y"], ["Ann", "1", "0"], ["Bob", "2", "1"]])
    assert load_own(path, "y", ignore=["who"]).x.tolist() == [[1], [2]]


def test_data_are_loaded_once_until_they_change(tmp_path):
    path = write_csv(tmp_path / "d.csv", SQUARE)
    first = load_own(path, "class")
    assert load_own(str(path), "class") is first
    write_csv(path, [*SQUARE, ["9", "10", "dog"]])
    os.utime(path, ns=(1, 1))
    assert len(load_own(path, "class").x) == 5


def test_a_folder_that_gets_another_image_is_read_again(tmp_path):
    root = image_folder(tmp_path / "d")
    before = load_own(root)
    write_image(root / "dog" / "new.png", np.zeros((16, 16)))
    os.utime(root / "dog", ns=(1, 1))
    assert len(load_own(root).x) == len(before.x) + 1


def test_the_hash_sees_labels_gaps_features_and_names(tmp_path):
    def digest(rows):
        path = write_csv(tmp_path / "d.csv", rows)
        return make_dataset(read_csv(path, "class")).sha256

    whole = digest(SQUARE)
    assert whole == digest(SQUARE)
    changed = [
        [[c if c != "cat" else "bat" for c in row] for row in SQUARE],
        [[c if c != "" else "cat" for c in row] for row in SQUARE],
        [[c if c != "7" else "7.5" for c in row] for row in SQUARE],
    ]
    assert len({whole, *map(digest, changed)}) == 4


def test_data_that_moved_are_found_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    write_csv(tmp_path / "there" / "d.csv", SQUARE)
    with pytest.raises(BadInput, match=r"No data file or folder .*d\.csv.*--data-dir"):
        load_own(tmp_path / "d.csv", "class")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "there"))
    assert len(load_own(tmp_path / "d.csv", "class").x) == 4


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b,class\n", "a header and no rows"),
        ("1,2,3\n4,5,6\n", "has no header"),
        ("a,b,class\n1,2,x\n3,y\n", "Line 3 of .* has 2 cells, and the header has 3"),
        ("a,b,class\n1,2,x\n3,4,y,5\n", "Line 3 of .* has 4 cells"),
        ("a,b,class\n1,red,x\n3,4,y\n", r"Line 2 of .* 'red' in column 'b'.*ignore = \[\"b\"\]"),
        ("a,b,class\n1,,x\n3,4,y\n", "Line 2 of .* no value in column 'b'"),
        ("a,b,class\n1,nan,x\n3,4,y\n", "Row 1 of .* has nan in column 'b'"),
        ("a,b,class\n1,2,x\n3,inf,y\n", "Row 2 of .* has inf in column 'b'"),
        ("a,b,class\n1,2,x\n3,1e39,y\n", r"has 1e\+39 in column 'b'"),
        ("a,b,class\n1,2,x\n3,4,x\n", "All labels of .* are 'x': at least two classes"),
        ("a,b,class\n1,2,1\n3,4,-1\n", "All labels of .* are '1' .*another name"),
        ("a,b,class\n1,2,-1\n3,4,\n", "No row of .* has a label"),
        ("a,b,class\n1,2,0.5\n3,4,0.7\n", "label 0.5 of .* fraction"),
        ("a,a,class\n1,2,x\n3,4,y\n", "two columns 'a'"),
        (",a,class\n0,2,x\n1,4,y\n", r"Column 1 of .* has no name.*index=False"),
        ("a;b;class\n1;2;x\n", "single column .*separated by ';'"),
        ("a,b,kind\n1,2,x\n3,4,y\n", "no column 'class'. Columns: a, b, kind"),
        ("class\nx\ny\n", "single column 'class'"),
        ('a,b,class\n1,"2,x\n', "cannot be read as a CSV file"),
    ],
)
def test_malformed_csv_files_are_refused(tmp_path, text, message):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        load_own(tmp_path / "d.csv", "class")


def test_a_csv_file_needs_to_be_text_and_to_have_a_label_column(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"a,class\n\xff\xfe,1\n")
    with pytest.raises(BadInput, match="UTF-8"):
        load_own(tmp_path / "d.csv", "class")
    path = write_csv(tmp_path / "e.csv", SQUARE)
    with pytest.raises(BadInput, match="Which column of .* Columns: a, b, class"):
        load_own(path)
    with pytest.raises(BadInput, match="'class' is the label column"):
        load_own(path, "class", ignore=["class"])
    with pytest.raises(BadInput, match="no column of features left"):
        load_own(path, "class", ignore=["a", "b"])
    with pytest.raises(BadInput, match="size is for images"):
        load_own(path, "class", size=32)


X = np.zeros((4, 3))
Y = np.array([0, 1, 0, -1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "no array 'y'"),
        ({"y": Y}, "no array 'x'"),
        ({"x": X, "y": Y, "u": X}, "unknown array 'u'. Known: x, y, x_test, y_test"),
        ({"x": X, "X": X, "y": Y}, "differ in case alone"),
        ({"x": X, "y": Y, "x_test": X}, "no array 'y_test'"),
        ({"x": X, "y": Y[:3]}, r"y of .* has shape \(3,\), and x has 4 rows"),
        ({"x": X, "y": np.eye(4)}, "one-hot"),
        ({"x": X[:, 0], "y": Y}, r"x of .* has shape \(4,\)"),
        ({"x": X[:, :0], "y": Y}, r"x of .* has shape \(4, 0\)"),
        ({"x": X.astype(str), "y": Y}, "x of .* is of type"),
        ({"x": X + 1j, "y": Y}, "x of .* is of type complex"),
        ({"x": X, "y": Y + 0j}, "Labels of .* are of type complex"),
        ({"x": X, "y": Y + 0.25}, "fraction"),
        ({"x": X, "y": Y * 0}, "All labels of .* are '0'"),
        ({"x": X, "y": Y * 0 - 1}, "No row of .* has a label"),
        ({"x": np.where(X == 0, np.nan, 0), "y": Y}, "Row 1 of .* has nan in column 0"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y}, "1 rows of the test set .* have no label"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 7}, "Class '6' of the test set"),
        ({"x": X, "y": Y, "x_test": X[:, :2], "y_test": abs(Y)}, "2 features, and .* of 3 features"),
        ({"x": np.zeros((4, 5, 20, 20)), "y": Y}, "1 or 3 channels"),
        ({"x": np.full((4, 20, 20), 300), "y": Y}, r"Pixels of .* lie in \[300, 300\]"),
        ({"x": np.full((4, 20, 20), np.nan), "y": Y}, "Pixels of .* lie in"),
        ({"x": np.full((4, 20, 20), 3.5), "y": Y}, "fractions up to 3.5"),
        ({"x": np.array([{}] * 4), "y": Y}, "only unpickling could read"),
        ({"x": X, "y": Y.astype(object)}, "only unpickling could read"),
    ],
)
def test_malformed_npz_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(BadInput, match=message):
        load_own(tmp_path / "d.npz")


@pytest.mark.parametrize("damage", ["text", "cut", "npy"])
def test_damaged_npz_files_are_refused(tmp_path, damage):
    path = tmp_path / "d.npz"
    np.savez(path, x=X, y=Y)
    if damage == "npy":
        with path.open("wb") as file:
            np.save(file, X)
    else:
        path.write_bytes(b"no zip" if damage == "text" else path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"d\.npz"):
        load_own(path)


def test_arrays_that_cannot_be_used_are_refused_before_they_are_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="one-hot"):
        save_arrays(X, np.eye(4))
    with pytest.raises(BadInput, match="x holds objects that are no numbers"):
        save_arrays(np.array([["a", 1], ["b", 2]], dtype=object), [0, 1], path=tmp_path / "d.npz")
    with pytest.raises(BadInput, match="has no array 'y_test'"):
        save_arrays(X, Y, x_test=X)
    with pytest.raises(BadInput, match=r"does not end in \.npz"):
        save_arrays(X, Y, path=tmp_path / "d.npy")
    assert not list(tmp_path.iterdir())


def into_train_with_a_test_folder(root):
    (root / "train").mkdir()
    for name in ("cat", "dog"):
        (root / name).rename(root / "train" / name)
    write_image(root / "train" / "test" / "cat" / "x.png", np.zeros((16, 16)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "dog").rename(root.parent / "dog"), "1 class folders"),
        (lambda root: (root / "empty").mkdir(), "empty holds no images"),
        (lambda root: write_image(root / "x.png", np.zeros((16, 16))), "x.png lies beside the class folders"),
        (lambda root: write_image(root / "cat" / "x.png", np.zeros((20, 16))), "sizes: 0.png is 16 × 16, x.png 16 × 20"),
        (lambda root: (root / "cat" / "x.png").write_text("no image"), "x.png cannot be read as an image"),
        (lambda root: Image.new("I;16", (16, 16)).save(root / "cat" / "x.png"), "8 bits a channel"),
        (lambda root: (root / "test").mkdir(), "test has no class folders"),
        (lambda root: write_image(root / "test" / "cow" / "x.png", np.zeros((16, 16))), "Class 'cow' of the test set"),
        (lambda root: write_image(root / "test" / "cat" / "x.png", np.zeros((18, 18))), "1×18×18, .*size = 32"),
        (lambda root: image_folder(root / "train"), "has a folder 'cat' beside train/"),
        (into_train_with_a_test_folder, r"train has a folder test/: move it to .*test"),
    ],
)  # fmt: skip
def test_malformed_folders_are_refused(tmp_path, spoil, message):
    root = image_folder(tmp_path / "d")
    spoil(root)
    with pytest.raises(BadInput, match=message):
        load_own(root)


def test_whole_numbers_of_any_size_stay_apart(tmp_path):
    """As identifiers are: above 2^53 neighbours are one float."""
    names = [str(2**60), str(2**60 + 1), "7.0"]
    rows = [["a", "b", "class"], *([str(i), "0", name] for i, name in enumerate(names))]
    found = load_own(write_csv(tmp_path / "d.csv", rows), "class")
    assert found.class_names == ("7", *names[:2])


def test_files_of_an_unknown_kind_are_refused(tmp_path):
    (tmp_path / "d.xlsx").write_text("")
    with pytest.raises(BadInput, match="no known type: give a .csv"):
        load_own(tmp_path / "d.xlsx")
    train = write_csv(tmp_path / "d.csv", SQUARE)
    np.savez(tmp_path / "d.npz", x=X, y=Y, x_test=X, y_test=abs(Y))
    with pytest.raises(BadInput, match="not of the same kind"):
        load_own(train, "class", tmp_path / "d.npz")
    with pytest.raises(BadInput, match="has a test set of its own: leave out test"):
        load_own(tmp_path / "d.npz", None, tmp_path / "d.npz")
    with pytest.raises(BadInput, match="label_column and ignore are for CSV files"):
        load_own(tmp_path / "d.npz", "class")
    with pytest.raises(BadInput, match="size is for images"):
        load_own(tmp_path / "d.npz", size=32)
    other = write_csv(tmp_path / "t.csv", [["a", "c", "class"], ["1", "2", "cat"]])
    with pytest.raises(BadInput, match="Column 'b' is in only one of"):
        load_own(train, "class", other)
