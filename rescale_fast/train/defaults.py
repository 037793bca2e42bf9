"""Which network is trained, on images of which size, where nobody says."""

from rescale_fast.beton.types import BetonInfo

LARGEST_SIZE = 224  # pixels; larger images are trained on at this size
SMALL_SIZE = 64  # pixels; up to here `small` is the network


def default_size(*infos: BetonInfo) -> int:
    """Side of the images that a network is trained on, pixels: that of the betons' largest, at most 224."""
    return min(LARGEST_SIZE, *(max(info.max_width, info.max_height) for info in infos))


def default_network(image_size: int) -> str:
    """The network for images of that size."""
    return "small" if image_size <= SMALL_SIZE else "ResNet18"
