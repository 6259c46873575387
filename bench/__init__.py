"""The figures that README and docs name, measured beside a floor and a peer: `python -m bench`."""
