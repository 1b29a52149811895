"""The fast sensitivity scan, and a model that runs again from one layer on."""

from labcore.scan.sensitivity import Scan, sensitivity_scan

__all__ = ["Scan", "sensitivity_scan"]
