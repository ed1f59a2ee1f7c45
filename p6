bad-header rc 124
