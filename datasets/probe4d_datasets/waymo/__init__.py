"""The Waymo Open perception dataset: 2-D box tracks, from both of its releases."""
