"""An Agent Client Protocol server for gpt-oss models on your own machine."""

__version__ = "0.1.0"
