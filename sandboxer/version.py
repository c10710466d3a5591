"""The version of this release: apart, so that printing it need not import the library."""

__version__ = "0.1.0"
