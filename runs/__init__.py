"""Commands: the only place where configuration, data and models meet."""
