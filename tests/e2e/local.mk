# What tests/e2e/ builds.
