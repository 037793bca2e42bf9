"""Batch files as others pickle them, put together opcode by opcode; and what pickles must never do to us."""

import pickle
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from rescale_fast.errors import ArtifactError
from rescale_fast.small.batches import read_batch
from rescale_fast.small.unpickle import MOST_OPCODES
from tests.conftest import ROOT

DATA = (np.arange(2 * 12) * 11 % 256).astype(np.uint8).reshape(2, 12)
PIXELS = DATA.tobytes()


def u(text):
    """SHORT_BINSTRING, the str of Python 2."""
    return b"U" + bytes([len(text)]) + text


def x(text):
    """BINUNICODE."""
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def s(text):
    """SHORT_BINUNICODE and MEMOIZE, of protocol 4."""
    return b"\x8c" + bytes([len(text)]) + text.encode() + b"\x94"


def dtype2(code=b"u1", order=b"|"):
    """A dtype by protocol 2: numpy.dtype(code, 0, 1), then its state."""
    minus = b"J\xff\xff\xff\xff"
    return b"cnumpy\ndtype\n" + u(code) + b"K\x00K\x01\x87R(K\x03" + u(order) + b"NNN" + minus + minus + b"K\x00tb"


def array2(content, shape=b"K\x02K\x0c\x86", dtype=None, fortran=b"\x89", core=b"numpy.core"):
    """An array by protocol 2: _reconstruct(ndarray, (0,), "b"), then its state."""
    head = b"c" + core + b".multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + u(b"b") + b"\x87R"
    return head + b"(K\x01" + shape + (dtype or dtype2()) + fortran + content + b"tb"


def binstring(content):
    return b"T" + struct.pack("<I", len(content)) + content


def batch2(array, labels=b"](K\x06K\x09e"):
    """{"data": array, "labels": [6, 9]} by protocol 2, with the str of Python 2."""
    return b"\x80\x02}q\x01(" + u(b"labels") + labels + u(b"data") + array + b"u."


NUMPY2 = b"numpy._core"
STATE4 = s("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b"
DTYPE4 = s("numpy") + s("dtype") + b"\x93\x94" + s("u1") + b"\x89\x88\x87\x94R\x94(K\x03" + STATE4
PUBLISHED = {
    # CIFAR-10 and CIFAR-100, pickled by Python 2 with protocol 2
    "cifar-10": b"\x80\x02}q\x01(" + u(b"batch_label") + u(b"training batch 1 of 5") + u(b"labels") + b"](K\x06K\x09e"
    + u(b"data") + array2(binstring(PIXELS)) + u(b"filenames") + b"](" + u(b"a.png") + u(b"b.png") + b"eu.",
    "cifar-100": b"\x80\x02}q\x01(" + u(b"filenames") + b"](" + u(b"a.png") + u(b"b.png") + b"e" + u(b"fine_labels")
    + b"](K\x06K\x09e" + u(b"coarse_labels") + b"](K\x00K\x01e" + u(b"data") + array2(binstring(PIXELS)) + b"u.",
    # the same, read with encoding="bytes" and written again by Python 3: keys are bytes
    "bytes as keys": b"\x80\x03}(C\x04data" + array2(b"B" + struct.pack("<I", 24) + PIXELS)
    + b"C\x06labels](K\x06K\x09eu.",
    # Imagenet32, by Python 3, protocols 2, 3 and 4
    "protocol 2 of Python 3": b"\x80\x02}(" + x("data")
    + array2(b"c_codecs\nencode\n" + x(PIXELS.decode("latin-1")) + x("latin1") + b"\x86R")
    + x("labels") + b"](K\x06K\x09eu.",
    "protocol 3": b"\x80\x03}(" + x("data") + array2(b"B" + struct.pack("<I", 24) + PIXELS)
    + x("labels") + b"](K\x06K\x09e"
    + x("mean") + array2(b"B" + struct.pack("<I", 96) + np.zeros(12).tobytes(), b"K\x0c\x85", dtype2(b"f8", b"<"))
    + b"u.",
    "protocol 4": b"\x80\x04\x95" + struct.pack("<Q", 0) + b"}\x94(" + s("data")
    + s("numpy.core.multiarray") + s("_reconstruct")
    + b"\x93\x94" + s("numpy") + s("ndarray") + b"\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x0c\x86\x94"
    + DTYPE4
    + b"\x89B" + struct.pack("<I", 24) + PIXELS + b"\x94t\x94b" + s("labels") + b"]\x94(K\x06K\x09eu.",
    "protocol 5 of NumPy 2": b"\x80\x05}\x94(" + s("data") + s("numpy._core.numeric") + s("_frombuffer")
    + b"\x93\x94(\x96"
    + struct.pack("<Q", 24) + PIXELS + b"\x94" + DTYPE4 + b"K\x02K\x0c\x86\x94" + s("C") + b"t\x94R\x94"
    + s("labels") + b"]\x94(K\x06K\x09eu.",
    # what others may do
    "NumPy 2's names": batch2(array2(binstring(PIXELS), core=NUMPY2)),
    "Fortran order": batch2(array2(binstring(DATA.tobytes("F")), fortran=b"\x88")),
    "labels as an array, big-endian":
    batch2(array2(binstring(PIXELS)), array2(binstring(struct.pack(">2i", 6, 9)), b"K\x02\x85", dtype2(b"i4", b">"))),
    "labels as NumPy's integers": batch2(array2(binstring(PIXELS)), b"](" + b"".join(
        b"cnumpy.core.multiarray\nscalar\n" + dtype2(b"i8", b"<") + u(struct.pack("<q", one)) + b"\x86R"
        for one in (6, 9)) + b"e"),
    # by Python 2 with its default, protocol 0: all text
    "protocol 0": b"(dp1\nS'labels'\np2\n(lp3\nI6\naI9\nasS'data'\np4\ncnumpy.core.multiarray\n_reconstruct\np5\n"
    b"(cnumpy\nndarray\np6\n(I0\ntp7\nS'b'\np8\ntp9\nRp10\n(I1\n(I2\nI12\ntp11\ncnumpy\ndtype\np12\n(S'u1'\np13\nI0\nI1\n"
    b"tp14\nRp15\n(I3\nS'|'\np16\nNNNI-1\nI-1\nI0\ntp17\nbI00\nS'" + "".join(f"\\x{one:02x}" for one in PIXELS).encode()
    + b"'\np18\ntp19\nbs.",
}  # fmt: skip


@pytest.mark.parametrize("content", PUBLISHED.values(), ids=PUBLISHED)
def test_batches_of_all_makers_are_read(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    batch = read_batch(tmp_path / "b")
    np.testing.assert_array_equal(batch.data, DATA)
    assert batch.data.dtype == np.uint8
    assert batch.labels.tolist() == [6, 9]


@pytest.mark.parametrize("content", PUBLISHED.values(), ids=PUBLISHED)
def test_the_fixtures_are_pickles_that_python_takes_for_the_same(content):
    found = pickle.loads(content, encoding="latin1")
    found = {key.decode() if isinstance(key, bytes) else key: one for key, one in found.items()}
    np.testing.assert_array_equal(found["data"], DATA)
    assert list(found.get("labels", found.get("fine_labels"))) == [6, 9]


FINE = array2(binstring(PIXELS))
ATTACKS = {
    "a function by GLOBAL": b"cos\nsystem\n" + u(b"touch evil") + b"\x85R.",
    "by STACK_GLOBAL": b"\x80\x04" + s("os") + s("system") + b"\x93" + s("touch evil") + b"\x85R.",
    "by INST": b"(S'touch evil'\nios\nsystem\n.",
    "by OBJ": b"(cos\nsystem\nS'touch evil'\no.",
    "by NEWOBJ": b"\x80\x02cos\nsystem\n" + u(b"touch evil") + b"\x85\x81.",
    "by NEWOBJ_EX": b"\x80\x04" + s("os") + s("system") + b"\x93)}\x92.",
    "by an extension code": b"\x80\x02\x82\x01.",
    "by a persistent id": b"Pevil\n.",
    "by a binary persistent id": b"Nq\x00Q.",
    "by an outer buffer": b"\x80\x05\x97\x98.",
    "getattr through a dotted name": b"\x80\x04" + s("numpy") + s("ndarray.tofile") + b"\x93.",
    "a name that is text twice": b"\x80\x04N" + s("dtype") + b"\x93.",
    "builtins": b"cbuiltins\neval\n" + u(b"1") + b"\x85R.",
    "numpy.load": b"cnumpy\nload\n" + u(b"x") + b"\x85R.",
    "a call of what is no function": u(b"x") + b")R.",
    "a call with a list": b"cnumpy\ndtype\n]R.",
    "a call of an array": FINE + b")R.",
    "dtype without a code": b"cnumpy\ndtype\n)R.",
    "another class to reconstruct":
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85" + u(b"b") + b"\x87R.",
    "scalar of an object": b"cnumpy.core.multiarray\nscalar\n" + dtype2(b"O8") + u(b"A" * 8) + b"\x86R.",
    "array of objects": batch2(array2(binstring(b"A" * 192), dtype=dtype2(b"O8"))),
    "array of void": batch2(array2(binstring(PIXELS), dtype=dtype2(b"V1"))),
    "array of dates": batch2(array2(binstring(b"A" * 192), dtype=dtype2(b"M8"))),
    "array of texts": batch2(array2(binstring(b"A" * 192), dtype=dtype2(b"S8"))),
    "a dtype with an offset outside of the item": b"cnumpy\ndtype\n" + u(b"V8") + b"K\x00K\x01\x87R.",
    "a dtype state with fields": batch2(array2(binstring(PIXELS), dtype=b"cnumpy\ndtype\n" + u(b"u1")
        + b"K\x00K\x01\x87R(K\x03" + u(b"|") + b"N" + u(b"f") + b"\x85}" + u(b"f") + b"cnumpy\ndtype\n" + u(b"O8")
        + b"K\x00K\x01\x87RM\xff\xff\x86sJ\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\x00tb")),
    "a dtype state with a subarray": batch2(array2(binstring(PIXELS), dtype=b"cnumpy\ndtype\n" + u(b"u1")
        + b"K\x00K\x01\x87R(K\x03" + u(b"|") + b"K\x01K\x02\x86NNJ\xff\xff\xff\x7fK\x01K\x00tb")),
    "a dtype state that is short":
    batch2(array2(binstring(PIXELS), dtype=b"cnumpy\ndtype\n" + u(b"u1") + b"K\x00K\x01\x87R)b")),
    "a dtype state of numbers": batch2(array2(binstring(PIXELS), dtype=b"cnumpy\ndtype\n" + u(b"u1")
        + b"K\x00K\x01\x87RK\x01b")),
    "a dtype state with an order of its own": batch2(array2(binstring(PIXELS), dtype=dtype2(b"u1", b"i8"))),
    "a state for a list": b"]}b.",
    "a state for the function itself": b"cnumpy\ndtype\n}b.",
    "slots for the function itself": b"cnumpy\ndtype\nN}\x86b.",
    "an array without a dtype": batch2(array2(binstring(PIXELS), dtype=b"N")),
    "an array without bytes": batch2(array2(b"N")),
    "an array of another array": batch2(array2(FINE)),
    "fewer bytes than the shape": batch2(array2(binstring(PIXELS[:-1]))),
    "more bytes than the shape": batch2(array2(binstring(PIXELS + b"a"))),
    "a huge shape": batch2(array2(binstring(PIXELS), b"\x8a\x08" + b"\xff" * 7 + b"\x7f" + b"K\x0c\x86")),
    "a shape that wraps around":
    batch2(array2(binstring(b""), b"\x8a\x09" + bytes(8) + b"\x01" + b"\x8a\x08" + bytes(7) + b"\x40\x86")),
    "a negative shape": batch2(array2(binstring(PIXELS), b"J\xfe\xff\xff\xffJ\xf4\xff\xff\xff\x86")),
    "a shape of texts": batch2(array2(binstring(PIXELS), u(b"2") + u(b"9") + b"\x86")),
    "a shape of very many dimensions": batch2(array2(binstring(PIXELS), b"(" + b"K\x01" * 60 + b"K\x18t")),
    "a shape of truths": batch2(array2(binstring(b"a"), b"\x88\x88\x86")),
    "one dimension": batch2(array2(binstring(PIXELS), b"K\x18\x85")),
    "floats": batch2(array2(binstring(PIXELS), b"K\x02K\x03\x86", dtype2(b"f4", b"<"))),
    "labels that are ragged": batch2(FINE, b"(](K\x01e](K\x01K\x02el"),
    "labels in themselves": batch2(FINE, b"]q\x05h\x05ah\x05a"),
    "labels that are texts": batch2(FINE, b"](" + u(b"6") + u(b"9") + b"e"),
    "labels that are truths": batch2(FINE, b"](\x88\x89e"),
    "labels that are huge": batch2(FINE, b"](\x8a\x09" + b"\xff" * 8 + b"\x00" + b"K\x09e"),
    "labels in a tuple of tuples": batch2(FINE, b"K\x06\x85K\x09\x85\x86"),
    "labels as a list of arrays": batch2(FINE, b"](" + FINE + FINE + b"e"),
    "unsigned labels above 2^63": batch2(FINE, array2(binstring(b"\xff" * 16), b"K\x02\x85", dtype2(b"u8", b"<"))),
    "another number of labels": batch2(FINE, b"](K\x06e"),
    "data that are a list": batch2(b"](K\x01e"),
    "a list instead of a dict": b"](" + FINE + b"e.",
    "a number": b"K\x01.",
    "an array alone": FINE + b".",
    "data as a key, too": batch2(FINE)[:-2] + u(b"labels") + b"N" + b"u.",
    "tuples as keys": b"}()K\x01s.",
    "an unhashable key": b"}]K\x01s.",
    "items of what is no dict": b"]K\x01K\x02s.",
    "an odd number of items": b"}(K\x01u.",
    "appended to no list": b"}K\x01a.",
    "appended to a mark": b"(K\x01a.",
    "a value from an empty stack": b"a.",
    "a mark that is not there": b"K\x01t.",
    "a memo that is not there": b"h\x05.",
    "nothing to stop with": b".",
    "stop at a mark": b"(.",
    "no stop": b"K\x01",
    "an opcode that does not exist": b"\xff.",
    "a line without an end": b"I" + b"1" * 50,
    "a number of very many digits": b"I" + b"1" * 20000 + b"\n.",
    "a text without quotes": b"Sa\n.",
    "bytes that are claimed only": b"\x8e" + struct.pack("<Q", 2**62),
    "unicode that is claimed only": b"X\xff\xff\xff\xff",
    "a bytearray that is claimed only": b"\x96" + struct.pack("<Q", 2**40),
    "a string of negative length": b"T\xff\xff\xff\xff",
    "a memo at 2^32": b"Nr\xff\xff\xff\xff.",
    "tuples in tuples": b")" + b"\x85" * 300_000 + b".",
    "tuples in tuples as a key": b"})" + b"\x85" * 300_000 + b"K\x01s.",
    "lists in lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "lists in lists as labels": batch2(FINE, b"]" * 100_000 + b"a" * 99_999),
    "a dict in itself": b"}q\x01" + u(b"data") + b"h\x01s.",
    "one text encoded again and again": b"X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x01" + x("latin1")
    + b"q\x020" + b"c_codecs\nencode\nq\x03" + b"h\x03h\x01h\x02\x86R" * 5_000 + b".",
    "another encoding": b"c_codecs\nencode\n" + x("a") + x("zlib_codec") + b"\x86R.",
    "the encoding of a number": b"c_codecs\nencode\nK\x01" + x("latin1") + b"\x86R.",
    "a text that latin-1 cannot encode": b"c_codecs\nencode\n" + x("\u20ac") + x("latin1") + b"\x86R.",
    "a buffer in an order of its own": b"cnumpy.core.numeric\n_frombuffer\n(" + binstring(PIXELS) + dtype2()
    + b"K\x02K\x0c\x86" + u(b"K") + b"tR.",
}  # fmt: skip


@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused_in_one_message(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"b: .*Copy or make it again"):
        read_batch(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_no_attack_ends_the_process_or_takes_its_memory(tmp_path):
    """All of them in one process that may have 1 GiB beside its libraries."""
    for number, content in enumerate(ATTACKS.values()):
        (tmp_path / f"{number:03d}").write_bytes(content)
    code = f"""
import resource, sys
from pathlib import Path
from rescale_fast.errors import ArtifactError
from rescale_fast.small.batches import read_batch
import tests.test_unpickle
used = int(Path("/proc/self/statm").read_text().split()[0]) * {resource.getpagesize()}
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
for path in sorted(Path({str(tmp_path)!r}).iterdir()):
    try:
        read_batch(path)
    except ArtifactError as error:
        assert "MemoryError" not in str(error), error
    else:
        raise AssertionError(path)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_pickle_of_too_many_parts_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("rescale_fast.small.unpickle.MOST_OPCODES", 1000)
    (tmp_path / "b").write_bytes(b"N0" * 1000 + b"N.")
    with pytest.raises(ArtifactError, match="more than 1,000 parts"):
        read_batch(tmp_path / "b")
    assert MOST_OPCODES > 2 * 1_281_167  # the labels of all of ImageNet, and their memos
