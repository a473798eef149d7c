"""Commands for a running gateway: ``actinium keys``, ``deployments`` and ``usage``."""
