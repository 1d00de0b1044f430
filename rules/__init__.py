"""The rule library as data, its compiler and its checks; evaluation does no I/O."""
