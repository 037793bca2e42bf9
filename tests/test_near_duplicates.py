"""Near-duplicates across the split: exact search among hashes, and hashes that survive what happens to pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from rescale_fast.image_subset.near_duplicates import close_pairs, find_near_duplicates
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from tests.photos import NOWHERE, photo


@pytest.mark.parametrize("max_bits", [0, 1, 4, 9, 16])
def test_close_pairs_equal_those_of_comparing_all(rng, max_bits, monkeypatch):
    monkeypatch.setattr("rescale_fast.image_subset.near_duplicates.PAIRS_AT_ONCE", 100)
    a = rng.integers(0, 2**63, 300, dtype=np.int64).astype(np.uint64)
    flips = (np.uint64(1) << rng.integers(0, 64, (200, 12)).astype(np.uint64)) * (rng.random((200, 12)) < 0.5)
    b = np.append(rng.choice(a, 200) ^ np.bitwise_xor.reduce(flips, axis=1), [a[0], a[0]])
    i, j, bits = close_pairs(a, b, max_bits)
    distance = np.bitwise_count(a[:, None] ^ b[None])
    expected = {(x, y, int(distance[x, y])) for x, y in np.argwhere(distance <= max_bits).tolist()}
    got = list(zip(i.tolist(), j.tolist(), bits.tolist(), strict=True))
    assert len(got) == len(set(got))
    assert set(got) == expected
    assert len(expected) >= 2


def test_pictures_that_were_stored_again_are_found_and_no_others(rng, tmp_path):
    photos = [photo(rng, 320, 240) for _ in range(12)]
    again = {
        0: photos[0].resize((200, 150)),
        3: photos[3],
        5: photos[5].convert("L"),
    }
    train, val = [], []
    for i, picture in enumerate(photos):
        train.append(f"t{i}.jpg")
        picture.save(tmp_path / train[-1], quality=95)
    for i in range(12):
        val.append(f"v{i}.jpg")
        again.get(i, photo(rng, 320, 240)).save(tmp_path / val[-1], quality=60)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "t0.jpg").read_bytes()[:900])
    (tmp_path / "empty.jpg").touch()
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50)).save(buffer, "PNG")
    subset = ImageSubset(NOWHERE, ("a",), ("a",), images([*train, "cut.jpg"]), images([*val, "empty.jpg"]))
    found = find_near_duplicates(tmp_path, subset, 4, num_threads=2)
    assert sorted(zip(found.train_paths, found.val_paths, strict=True)) == [(f"t{i}.jpg", f"v{i}.jpg") for i in again]
    assert found.distances.tolist() == sorted(found.distances.tolist())
    found.save(tmp_path / "n.csv")
    assert (tmp_path / "n.csv").read_text().splitlines()[0] == "train,val,bits"
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 4


def images(names):
    zeros = np.zeros(len(names), np.int64)
    return SubsetImages(("train",) * len(names), np.arange(len(names)), tuple(names), zeros, zeros)
