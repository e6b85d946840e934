"""The runner of probe4d for Dask clusters."""
