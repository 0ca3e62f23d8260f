"""Something to start from, as files: a method, or a suite on a user's own data."""
