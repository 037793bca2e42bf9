"""The network that looks at the images, ready to do so: loaded, or for glyphs trained on the spot."""

from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import NetworkError
from rescale_fast.networks.pretrained import LoadedNetwork, NetworkChoice, load_network
from rescale_fast.train.glyph_network import train_glyph_network
from rescale_fast.types import Track, silent


def ready_network(choice: NetworkChoice, dataset: Dataset, *, track: Track = silent) -> LoadedNetwork:
    """Load the chosen network; that for glyphs is trained first, unless it lies in the cache.

    Raises: as load_network; DatasetError for glyphs without a train split; TrainingError.
    """
    if choice.trained_here:
        try:
            return load_network(choice, dataset)
        except NetworkError:  # absent or damaged
            train_glyph_network(dataset, track=track)
    return load_network(choice, dataset)
