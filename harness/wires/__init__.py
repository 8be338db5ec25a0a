"""Proxies between a target and real dependencies, one file a protocol."""
