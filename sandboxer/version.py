"""The version of this release: apart, so that whoever tells it need not import the library."""

__version__ = "0.1.0"
