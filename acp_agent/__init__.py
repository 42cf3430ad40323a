"""An Agent Client Protocol server for gpt-oss models on your own machine."""
