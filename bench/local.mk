# What bench/ builds.
