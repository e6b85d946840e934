"""The HTML report of a run, and the paper's figures."""
