"""A plain PyTorch loop on folders of images. plain_beton.py is the same on betons; compare the two.

python examples/plain_images.py DIR        with DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg
"""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--classes", type=int, required=True)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=16)
options = parser.parse_args()
device = "cuda" if torch.cuda.is_available() else "cpu"

crop = [transforms.RandomResizedCrop(options.size), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
centre = [transforms.Resize(options.size * 8 // 7), transforms.CenterCrop(options.size), transforms.PILToTensor()]
train_set = datasets.ImageFolder(f"{options.data}/train", transforms.Compose(crop))
val_set = datasets.ImageFolder(f"{options.data}/val", transforms.Compose(centre))
train = DataLoader(train_set, options.batch_size, shuffle=True, num_workers=8, drop_last=True)
val = DataLoader(val_set, options.batch_size, num_workers=8)

normalize = transforms.Normalize([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])
network = models.resnet18(num_classes=options.classes).to(device)
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-5)
for epoch in range(options.epochs):
    network.train()
    for images, labels in train:
        optimizer.zero_grad()
        logits = network(normalize(images.to(device).float()))
        nn.functional.cross_entropy(logits, labels.to(device)).backward()
        optimizer.step()
    network.eval()
    hits = total = 0
    with torch.inference_mode():
        for images, labels in val:
            logits = network(normalize(images.to(device).float()))
            hits += int((logits.argmax(1) == labels.to(device)).sum())
            total += len(labels)
    print(f"epoch {epoch + 1}: {hits} of {total} right")
