# What fuse/ builds.
