"""The fast sensitivity scan, and a model that can be rerun from one layer onwards."""

from labcore.scan.sensitivity import Scan, sensitivity_scan

__all__ = ["Scan", "sensitivity_scan"]
