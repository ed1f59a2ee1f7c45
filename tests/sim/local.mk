# What tests/sim/ builds.
