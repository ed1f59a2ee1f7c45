# What libdfs/ builds.
