"""The HTTP side: one router a resource, each a thin layer over transactions."""
