"""Something to start from, as files: a method, a suite, or a suite on a user's own data."""
