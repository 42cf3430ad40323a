"""What is kept of a session: everything that was said and done, as it happened."""
