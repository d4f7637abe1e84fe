"""The version of skep."""

VERSION = "0.1.0"
