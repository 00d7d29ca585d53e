"""Detector of synthetic speech: material, augmentation, features, network, training, leave-one-system-out evaluation."""
