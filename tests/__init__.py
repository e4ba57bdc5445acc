"""The test suite; a package, so that `tests.world` is ours wherever pytest is started from."""
