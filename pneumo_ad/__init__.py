"""Find anomalies in radiographs without labels: patch autoencoders on PyTorch Lightning and Hydra.

Nothing heavy is imported here; take what you need from the module that holds it, for example
`from pneumo_ad.nets import UNetAutoencoder`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pneumo_ad")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
