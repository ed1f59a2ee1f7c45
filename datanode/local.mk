# What datanode/ builds.
