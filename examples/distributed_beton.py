"""Training on several GPUs or processes, in the manner of torchvision's reference scripts, on betons.

    torchrun --nproc-per-node 2 examples/distributed_beton.py --data-path DIR --classes 100

distributed_images.py is the same on folders of images, where some of val is counted twice; compare the two.
"""

import argparse

import torch
import torch.distributed as dist
from torch import nn
from torchvision import models, transforms

from rescale_fast.loaders import beton_loader


def load_data(args, device):
    shape = {"batch_size": args.batch_size, "image_size": args.size, "device": device}
    share = {"rank": dist.get_rank(), "num_ranks": dist.get_world_size()}
    data_loader = beton_loader(f"{args.data_path}/train.beton", split="train", **shape, **share)
    data_loader_test = beton_loader(f"{args.data_path}/val.beton", split="val", **shape, **share)
    return data_loader, data_loader_test


def train_one_epoch(model, criterion, optimizer, data_loader, device):
    model.train()
    for image, target, _ in data_loader:
        loss = criterion(model(image.to(device)), target.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def evaluate(model, data_loader, device):
    model.eval()
    counts = torch.zeros(2, dtype=torch.int64, device=device)
    with torch.inference_mode():
        for image, target, _ in data_loader:
            right = model(image.to(device)).argmax(1) == target.to(device)
            counts += torch.stack([right.sum(), torch.tensor(len(right), device=device)])
    dist.all_reduce(counts)
    return counts.tolist()


class Normalized(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.normalize = transforms.Normalize([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])

    def forward(self, image):
        return self.model(self.normalize(image.float()))


def main(args):
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    device = f"cuda:{dist.get_rank() % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    data_loader, data_loader_test = load_data(args, device)
    model = Normalized(models.resnet18(num_classes=args.classes)).to(device)
    model_parallel = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-5)
    for epoch in range(args.epochs):
        train_one_epoch(model_parallel, nn.CrossEntropyLoss(), optimizer, data_loader, device)
        hits, total = evaluate(model, data_loader_test, device)
        if dist.get_rank() == 0:
            print(f"epoch {epoch + 1}: {hits} of {total} right")
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-path", required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=16)
    main(parser.parse_args())
