"""pm6: simulations whose characters are played by language models, cheap enough to be played."""

__version__ = "0.1.0"
