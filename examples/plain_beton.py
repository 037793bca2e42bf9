"""A plain PyTorch loop on betons. plain_images.py is the same on folders of images; compare the two.

python examples/plain_beton.py DIR        with DIR/train.beton and DIR/val.beton
"""

import argparse

import torch
from torch import nn
from torchvision import models, transforms

from rescale_fast.loaders import beton_loader

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--classes", type=int, required=True)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=16)
options = parser.parse_args()
device = "cuda" if torch.cuda.is_available() else "cpu"

shape = {"batch_size": options.batch_size, "image_size": options.size, "device": device}
train = beton_loader(f"{options.data}/train.beton", split="train", **shape)
val = beton_loader(f"{options.data}/val.beton", split="val", **shape)

normalize = transforms.Normalize([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])
network = models.resnet18(num_classes=options.classes).to(device)
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-5)
for epoch in range(options.epochs):
    network.train()
    for images, labels, _ in train:
        optimizer.zero_grad()
        logits = network(normalize(images.to(device).float()))
        nn.functional.cross_entropy(logits, labels.to(device)).backward()
        optimizer.step()
    network.eval()
    hits = total = 0
    with torch.inference_mode():
        for images, labels, _ in val:
            logits = network(normalize(images.to(device).float()))
            hits += int((logits.argmax(1) == labels.to(device)).sum())
            total += len(labels)
    print(f"epoch {epoch + 1}: {hits} of {total} right")
