"""The admin API: deployments, breakers, limits, keys and usage of a gateway that runs."""
