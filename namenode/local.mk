# What namenode/ builds.
