"""What a request may do, decided on values alone."""
