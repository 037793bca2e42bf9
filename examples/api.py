"""From a network and a folder of images to a small set that is hard in the same way, and into a training loop.

python examples/api.py IMAGES WEIGHTS OUT       with IMAGES/train/<class>/* and IMAGES/val/<class>/*
"""

import argparse

import torch
from torch import nn
from torchvision import models, transforms

import rescale_fast as rf

parser = argparse.ArgumentParser()
parser.add_argument("images")
parser.add_argument("weights", help="a state_dict of a ResNet-18 that tells these classes apart")
parser.add_argument("out")
parser.add_argument("--k", type=int, default=50)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--batch-size", type=int, default=64)
options = parser.parse_args()

dataset = rf.open_dataset(options.images)
network = models.resnet18(num_classes=dataset.num_classes)
network.load_state_dict(torch.load(options.weights, weights_only=True))
predictions = rf.validate(dataset, network, transform=options.size)
classes = rf.choose_classes(rf.confusion(predictions), options.k)
images = rf.choose_images(dataset, classes)
rf.export_beton(dataset, images, options.out)
shape = {"batch_size": options.batch_size, "image_size": options.size}
train = rf.beton_loader(f"{options.out}/train.beton", split="train", **shape)
print(f"{', '.join(classes.class_ids)}: {classes.facts['value']} images confused inside")

normalize = transforms.Normalize([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])
student = models.resnet18(num_classes=options.k)
optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-5)
for images, labels, _ in train:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(student(normalize(images.float())), labels)
    loss.backward()
    optimizer.step()
print(f"an epoch of {len(train)} batches, loss {loss.item():.2f}")
