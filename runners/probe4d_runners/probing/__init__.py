"""Trains readouts on stored features and predicts the evaluation split."""
