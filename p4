hello-and-garbage rc 124
