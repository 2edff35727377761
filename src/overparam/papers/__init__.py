"""The papers, one folder each. The lab finds them by scanning; no list to keep."""
