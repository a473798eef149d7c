"""Devices: the driver's calls, what a device can do, and what a launch takes of it."""
