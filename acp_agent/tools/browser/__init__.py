"""The built-in `browser` that gpt-oss was trained with: search, open, find, and citations."""
