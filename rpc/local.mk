# What rpc/ builds.
