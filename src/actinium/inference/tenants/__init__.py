"""Virtual keys: who may use which model, how much, and what it cost them."""

from .keyring import Created, Keyring
from .policy import DeclaredKey, KeyLimits, KeySpec, Tenant
from .service import KeyedInference, Service

__all__ = [
    "Created",
    "DeclaredKey",
    "KeyLimits",
    "KeySpec",
    "KeyedInference",
    "Keyring",
    "Service",
    "Tenant",
]
