"""The chapters on bottlenecks; no package to import.

Python would take this folder for the package bottleneck wherever ``book/`` is the working folder, and pandas, which
uses that package when it is there, would fail on it. An import that fails as a missing package's does is taken as that.
"""

raise ModuleNotFoundError("No module named 'bottleneck': this folder holds chapters", name="bottleneck")
