"""What can go wrong in the registry."""

from operations.errors import OperationsError


class RegistryError(OperationsError):
    """The registry cannot do what was asked; the message says how to go on."""


class VersionNotFoundError(RegistryError):
    """There is no such model, version or tag; the message lists what there is."""


class TamperedError(RegistryError):
    """What is stored is not what was published."""
