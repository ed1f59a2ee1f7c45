huge-data rc 124
