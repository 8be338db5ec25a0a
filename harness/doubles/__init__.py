"""One file a double: a south-side service that the harness plays."""
