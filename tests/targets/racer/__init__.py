"""A target with one flaw: it checks, asks a service, and acts on what it had checked before it asked."""
