"""The TAP-Vid evaluation sets: DAVIS, RGB-Stacking and Kinetics."""
