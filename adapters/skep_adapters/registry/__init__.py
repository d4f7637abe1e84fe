"""Registries of images, asked over their HTTP API (version 2 of Docker's, and OCI's).

    found = await RegistryClient().look_up("nginx:1", {})

Implements `skep.ports.registry`.
"""

from skep_adapters.registry.client import RegistryClient

__all__ = ["RegistryClient"]
