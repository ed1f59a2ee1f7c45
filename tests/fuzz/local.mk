# What tests/fuzz/ builds.
