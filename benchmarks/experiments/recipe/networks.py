"""Networks that one core trains in seconds, each small of its kind. The engine takes them by reference."""

from torch import nn


def plain(num_classes: int) -> nn.Module:
    """`small` of half the width, for 32 px: 0.1 million parameters."""
    widths, strides = (16, 32, 64, 128), (1, 1, 1, 2)
    layers: list[nn.Module] = []
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        layers += [nn.Conv2d((3, *widths)[i], width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        layers += [nn.MaxPool2d(2)] if i < 2 else []
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))


def resnet(num_classes: int) -> nn.Module:
    """A ResNet-10-D (He et al. 2019, Bag of Tricks) of a quarter of the width: 0.3 million parameters."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(  # type: ignore[no-any-return]
        BasicBlock,
        [1, 1, 1, 1],
        num_classes=num_classes,
        channels=(16, 32, 64, 128),
        stem_type="deep_tiered",
        stem_width=8,
        avg_down=True,
    )


def convnext(num_classes: int) -> nn.Module:
    """A ConvNeXt of five blocks: 0.6 million parameters."""
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(num_classes=num_classes, depths=(1, 1, 2, 1), dims=(24, 48, 96, 192), conv_mlp=True)  # type: ignore[no-any-return]


def vit(num_classes: int) -> nn.Module:
    """A vision transformer of four blocks on 16 tokens of 64 px images: 0.5 million parameters."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(  # type: ignore[no-any-return]
        img_size=64, patch_size=16, embed_dim=96, depth=4, num_heads=3, num_classes=num_classes
    )
