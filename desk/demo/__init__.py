"""The demonstration: a believable two years of fictional firms, built through the same actions that users call."""
