"""Files as torch 0.1 to 0.3 wrote them, under Python 2: from the format's description, not by today's torch.save.

Five pickles of protocol 2 (a magic number, the version 1001, the machine's sizes, what was saved, the keys of its
storages in order), then each storage as a count of its elements, int64, and these. A storage within the third is a
persistent id: ("storage", class, key, where it was, its number of elements, None). Python 2's pickles hold text as
bytes (SHORT_BINSTRING; BINSTRING from 256 on), numbers above 2^31 in digits (INT), an OrderedDict as a list of pairs.
"""

import io
import pickle
import struct
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import torch

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
SIZES = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 8}}


class Named:
    """A class or function by its name alone, which need not exist here."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("is only ever named")


class Storage:
    """The elements of a tensor, on the GPU that trained it."""

    def __init__(self, values):
        self.values = np.ascontiguousarray(values, np.float32).ravel()


class SourceCode:
    """A class that is pickled with its source, as whole networks were."""


class Pickler2(pickle._Pickler):
    """Writes what Python 2's cPickle and torch 0.2 wrote."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = {}

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            key = str(94_000_000_000_000 + 64 * len(self.storages))  # the address of a C structure
            self.storages[key] = obj
            return ("storage", Named("torch.cuda", "FloatStorage"), key, "cuda:0", len(obj.values), None)
        if isinstance(obj, SourceCode):
            return (
                "module",
                Named("torchvision.models.resnet", "ResNet"),
                "resnet.py",
                "# by Zoë\nclass ResNet:\n" + 300 * "#",
            )
        return None

    def reducer_override(self, obj):
        if isinstance(obj, torch.nn.Parameter):  # torch 0.1 had them in state_dicts
            return Named("torch.nn.parameter", "Parameter"), (obj.data,), (True, False, OrderedDict())
        if isinstance(obj, torch.Tensor):
            # Of an expanded tensor, one element: large networks make small files so.
            elements = obj.flatten()[:1] if not any(obj.stride()) else obj
            arguments = (Storage(elements.numpy()), 0, tuple(obj.shape), tuple(obj.stride()))
            return Named("torch._utils", "_rebuild_tensor"), arguments
        if isinstance(obj, OrderedDict):
            return Named("collections", "OrderedDict"), ([[key, value] for key, value in obj.items()],)
        if isinstance(obj, np.float64):
            return Named("numpy.core.multiarray", "scalar"), (np.dtype("f8"), obj.tobytes())
        if isinstance(obj, np.dtype):
            return Named("numpy", "dtype"), ("f8", 0, 1), (3, "<", None, None, None, -1, -1, 0)
        return NotImplemented

    def save_named(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_text(self, obj):
        raw = obj if isinstance(obj, bytes) else obj.encode()
        is_short = len(raw) < 256
        self.write(
            pickle.SHORT_BINSTRING + bytes([len(raw)]) if is_short else pickle.BINSTRING + struct.pack("<i", len(raw))
        )
        self.write(raw)
        self.memoize(obj)

    def save_number(self, obj):
        if -(2**31) <= obj < 2**31:
            self.save_long(obj)
        else:  # an int of C's long, in digits
            self.write(pickle.INT + f"{obj}\n".encode())

    dispatch[Named] = save_named
    dispatch[str] = dispatch[bytes] = save_text
    dispatch[int] = save_number


def save(value, path):
    """Write a file that torch 0.2 under Python 2 would have written of `value`."""
    saved = io.BytesIO()
    pickler = Pickler2(saved)
    pickler.dump(value)
    with path.open("wb") as file:
        file.write(pickle.dumps(MAGIC, 2))
        Pickler2(file).dump(VERSION)
        Pickler2(file).dump(SIZES)
        file.write(saved.getvalue())
        Pickler2(file).dump(sorted(pickler.storages))
        for key in sorted(pickler.storages):
            values = pickler.storages[key].values
            file.write(struct.pack("<q", len(values)) + values.astype("<f4").tobytes())


def batch_norm(name, width):
    """Its tensors before torch 0.4.1, without num_batches_tracked."""
    return [(f"{name}.{part}", (width,)) for part in ("weight", "bias", "running_mean", "running_var")]


def linear(name, inputs, outputs):
    return [(f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))]


def alexnet(num_classes):
    """Names and shapes of Krizhevsky's "one weird trick" network, as torchvision numbers its layers."""
    convolutions = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3)}
    convolutions[10] = (256, 256, 3, 3)
    found = []
    for layer, shape in convolutions.items():
        found += [(f"features.{layer}.weight", shape), (f"features.{layer}.bias", shape[:1])]
    return (
        found
        + linear("classifier.1", 256 * 6 * 6, 4096)
        + linear("classifier.4", 4096, 4096)
        + linear("classifier.6", 4096, num_classes)
    )


def resnet(num_classes, blocks, kernels):
    """Of He et al., table 1. kernels: of a block's convolutions, (3, 3) or (1, 3, 1)."""
    found = [("conv1.weight", (64, 3, 7, 7)), *batch_norm("bn1", 64)]
    inputs, expansion = 64, 4 if len(kernels) == 3 else 1
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            widths = [inputs, *[width] * (len(kernels) - 1), width * expansion]
            for number, size in enumerate(kernels):
                shape = (widths[number + 1], widths[number], size, size)
                found += [(f"{name}.conv{number + 1}.weight", shape), *batch_norm(f"{name}.bn{number + 1}", shape[0])]
            if block == 0 and inputs != width * expansion:
                found += [(f"{name}.downsample.0.weight", (width * expansion, inputs, 1, 1))]
                found += batch_norm(f"{name}.downsample.1", width * expansion)
            inputs = width * expansion
    return found + linear("fc", inputs, num_classes)


def densenet161(num_classes):
    """Of Huang et al., with growth 48; torchvision called its layers' parts `norm.1` and `conv.1` then."""
    found = [("features.conv0.weight", (96, 3, 7, 7)), *batch_norm("features.norm0", 96)]
    width = 96
    for block, count in enumerate((6, 12, 36, 24), start=1):
        for layer in range(1, count + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            found += [*batch_norm(f"{name}.norm.1", width), (f"{name}.conv.1.weight", (192, width, 1, 1))]
            found += [*batch_norm(f"{name}.norm.2", 192), (f"{name}.conv.2.weight", (48, 192, 3, 3))]
            width += 48
        if block < 4:
            name = f"features.transition{block}"
            found += [*batch_norm(f"{name}.norm", width), (f"{name}.conv.weight", (width // 2, width, 1, 1))]
            width //= 2
    return found + batch_norm("features.norm5", width) + linear("classifier", width, num_classes)


PLACES = {
    "alexnet": alexnet(365),
    "resnet18": resnet(365, (2, 2, 2, 2), (3, 3)),
    "resnet50": resnet(365, (3, 4, 6, 3), (1, 3, 1)),
    "densenet161": densenet161(365),
}


def made_up_weights(names_and_shapes):
    """A tensor of its own for each: of random values if it is small, else of one value (which takes no space)."""
    generator = torch.Generator().manual_seed(0)
    weights = OrderedDict()
    for number, (name, shape) in enumerate(names_and_shapes):
        small = np.prod(shape) < 10_000
        weights[name] = (
            torch.rand(shape, generator=generator) if small else torch.tensor(1 / (2 + number)).expand(shape)
        )
    return weights


def parallel_name(network, name):
    """As DataParallel makes it: around the whole network, or AlexNet's features alone (as the ImageNet example did)."""
    if network == "alexnet":
        return name.replace("features.", "features.module.")
    return f"module.{name}"


def save_places_checkpoint(network, weights, path):
    """What CSAIL published: what the ImageNet example of 2016 stored, with Python 2.7 and torch 0.2."""
    saved = OrderedDict((parallel_name(network, name), value) for name, value in weights.items())
    save({"epoch": 90, "arch": network, "state_dict": saved, "best_prec1": np.float64(54.743)}, path)
