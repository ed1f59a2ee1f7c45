# What shell/ builds.
